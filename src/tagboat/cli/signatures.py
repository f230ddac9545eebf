"""`tagboat webhook sign`, `signature` and `unsign`: what calls of a webhook URL must be signed with."""

from collections.abc import Mapping
from pathlib import Path

from tagboat.cli import show
from tagboat.cli.client import Client
from tagboat.cli.given import read_secret
from tagboat.cli.names import find_hook

Own = tuple[str, str]
"""The project and the name of a webhook URL of its own."""

_GLOBAL = "/api/settings/webhook/signature"
_NONE = {"kind": None, "header": None}
_BEAR = {
    "hmac-sha256": "an HMAC-SHA256 of their body, as Gitea, Forgejo and GitHub send it",
    "hmac-sha1": "an HMAC-SHA1 of their body, as Nexus sends it",
}


def signature(client: Client, own: Own | None, *, as_json: bool) -> int:
    """Show what calls of a webhook URL must be signed with."""
    found = client.get(_GLOBAL) if own is None else find_hook(client, *own)["signature"]
    return _tell(own, found or _NONE, as_json=as_json)


def sign(
    client: Client,
    own: Own | None,
    kind: str,
    *,
    header: str | None,
    file: Path | None,
    as_json: bool,
) -> int:
    """Demand that calls of a webhook URL be signed. Whether there is that URL is known before its secret is asked for."""
    path = _GLOBAL if own is None else _path(client, own)
    asked = {"kind": kind, "header": header, "secret": read_secret("shared secret", file)}
    said = (
        client.put(path, asked)
        if own is None
        else client.patch(path, {"signature": asked})["signature"]
    )
    return _tell(own, said, as_json=as_json)


def unsign(client: Client, own: Own | None, *, as_json: bool) -> int:
    """Demand no signature of a webhook URL's calls any more."""
    if own is None:
        client.delete(_GLOBAL)
    else:
        client.patch(_path(client, own), {"signature": None})
    return _tell(own, _NONE, as_json=as_json)


def _path(client: Client, own: Own) -> str:
    return f"/api/webhooks/{find_hook(client, *own)['id']}"


def _tell(own: Own | None, found: Mapping[str, str | None], *, as_json: bool) -> int:
    if as_json:
        show.as_json(found)
        return 0
    which = "the URL for all images" if own is None else f"the webhook {own[1]} of {own[0]}"
    if found["kind"] is None:
        show.line(f"calls of {which} need no signature")
    else:
        bear = _BEAR.get(found["kind"]) or f"the secret in their header {found['header']}"
        show.line(f"calls of {which} must bear {bear}; any other is answered 404")
    return 0
