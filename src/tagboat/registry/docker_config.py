"""Credentials out of a Docker `config.json`, as `docker login` and `podman login` write it."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import DOCKER_HUB, is_docker_hub
from tagboat.registry.site import IDENTITY_TOKEN

_MAX_TEXT = 256 * 1024
_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class DockerLogin:
    """What to enter as username and password of a registry. With an identity token, the username is `<token>`."""

    username: str
    password: str = field(repr=False)


def login_for(text: str, host: str) -> DockerLogin:
    """The login that the `config.json` in `text` has for `host` (a host with its port, or a registry's URL).

    Docker Hub is meant by any of its names, `https://index.docker.io/v1/` among them. Raises InvalidValueError that says
    what is missing, without any secret.
    """
    config = _decoded(text)
    wanted = _host_of(host)
    auths = _auths(config)
    found = [auths[key] for key in auths if _host_of(key) == wanted and not _is_namespace(key)]
    for entry in found:
        if (login := _login(entry, wanted)) is not None:
            return login
    raise _missing(config, auths, wanted, known=bool(found))


def _decoded(text: str) -> Mapping[str, object]:
    if len(text) > _MAX_TEXT:
        raise InvalidValueError(
            f"the Docker config has more than {_MAX_TEXT} characters; is it the right file?"
        )
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValueError(
            "the Docker config is not JSON: give the whole text of ~/.docker/config.json"
        ) from None
    if not isinstance(config, dict):
        raise InvalidValueError(
            "the Docker config is not a JSON object: give the whole text of ~/.docker/config.json"
        )
    return config


def _auths(config: Mapping[str, object]) -> Mapping[str, Mapping[str, object]]:
    """The logins by the name they were made for. The file's oldest form (`.dockercfg`) has them at the top."""
    auths = config.get("auths")
    if auths is None and not any(name in config for name in ("credsStore", "credHelpers")):
        auths = {
            key: entry
            for key, entry in config.items()
            if isinstance(entry, dict) and "auth" in entry
        }
    if auths is not None and not isinstance(auths, dict):
        raise InvalidValueError("`auths` in the Docker config is not a JSON object")
    return {key: entry for key, entry in (auths or {}).items() if isinstance(entry, dict)}


def _host_of(name: str) -> str:
    """The host of a key of `auths`: it may be a URL, and may end in `/v1/` or `/v2/`."""
    host = name.strip().rpartition("://")[2].partition("/")[0].lower()
    return DOCKER_HUB if is_docker_hub(host) else host


def _is_namespace(key: str) -> bool:
    """Whether a key is for a part of a registry only, such as `quay.io/acme` (podman has these)."""
    path = key.strip().rpartition("://")[2].partition("/")[2].strip("/")
    return "://" not in key and path not in {"", "v1", "v2"}


def _login(entry: Mapping[str, object], host: str) -> DockerLogin | None:
    identity_token = entry.get("identitytoken")
    if isinstance(identity_token, str) and identity_token:
        return DockerLogin(IDENTITY_TOKEN, identity_token)
    username, password = entry.get("username"), entry.get("password")
    if isinstance(username, str) and isinstance(password, str) and password:
        return DockerLogin(username, password)
    auth = entry.get("auth")
    return _from_auth(auth, host) if isinstance(auth, str) and auth.strip() else None


def _from_auth(auth: str, host: str) -> DockerLogin | None:
    """Username and password out of `auth`: base64 of both with a colon between (docker pads some with NULs)."""
    try:
        pair = base64.b64decode("".join(auth.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidValueError(
            f"`auth` for {host} in the Docker config is not base64 of username:password"
        ) from None
    username, colon, password = pair.partition(":")
    password = password.strip("\0")
    if not colon:
        raise InvalidValueError(
            f"`auth` for {host} in the Docker config is not base64 of username:password"
        )
    return DockerLogin(username, password) if password else None


def _missing(
    config: Mapping[str, object], auths: Mapping[str, object], host: str, *, known: bool
) -> InvalidValueError:
    helper = _helper(config, host)
    if helper:
        return InvalidValueError(
            f"the Docker config keeps the login for {host} in a credential helper ({helper}), which is not supported: its "
            "secrets are not in the file; enter username and password"
        )
    if known:
        return InvalidValueError(
            f"the Docker config names {host}, but has no username and password for it"
        )
    hosts = sorted({_host_of(key) for key in auths})
    shown = ", ".join(hosts[:_MAX_SHOWN]) + (" …" if len(hosts) > _MAX_SHOWN else "")
    has = f"it has logins for {shown}" if hosts else "it has none at all"
    return InvalidValueError(f"the Docker config has no login for {host}; {has}")


def _helper(config: Mapping[str, object], host: str) -> str:
    """The name of the program that keeps the login for `host`, empty if none does."""
    helpers = config.get("credHelpers")
    for key, helper in helpers.items() if isinstance(helpers, dict) else ():
        if isinstance(helper, str) and _host_of(key) == host:
            return _printable(helper)
    store = config.get("credsStore")
    return _printable(store) if isinstance(store, str) else ""


def _printable(name: str) -> str:
    return "".join(character for character in name if character.isprintable())[:40]
