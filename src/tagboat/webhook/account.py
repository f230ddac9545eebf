"""What is kept of a call, so that people can see what was sent, and have it taken in again."""

from collections.abc import Mapping
from functools import lru_cache

from tagboat.core.delivery import MAX_BODY, RecordedRequest
from tagboat.core.masking import mask_webhook_secrets

_REGISTRY = "?registry"
_MAX_HEADER, _MAX_HEADERS = 1024, 8 * 1024
"""Characters that are kept of one, and of all."""
_CREDENTIALS = (
    "auth",
    "cookie",
    "credential",
    "csrf",
    "jwt",
    "key",
    "passw",
    "secret",
    "session",
    "signature",
    "token",
    "xsrf",
)


def account(
    headers: Mapping[str, str],
    body: bytes,
    hook_id: str | None,
    signature_header: str = "",
    *,
    registry: str | None = None,
) -> RecordedRequest:
    """What is kept of a call with `headers` (names in lower case) and `body`; `signature_header` holds a secret.

    Proxies tell the address that was called in a header, and some senders in the body: without its secret in either. The
    `registry` that the URL names is kept among the headers, by a name that no header can have.
    """
    kept = _kept(headers, signature_header)
    if registry is not None:
        kept[_REGISTRY] = mask_webhook_secrets(registry[:_MAX_HEADER])
    return RecordedRequest(
        headers=kept,
        body=mask_webhook_secrets(
            body[:MAX_BODY].decode("utf-8", "replace").replace("\0", "\ufffd")
        ),
        truncated=len(body) > MAX_BODY,
        hook_id=hook_id,
    )


def registry_of(headers: Mapping[str, str]) -> str | None:
    """Return the registry that the URL of a kept call named, None where it named none."""
    return headers.get(_REGISTRY)


def _kept(headers: Mapping[str, str], signature_header: str) -> dict[str, str]:
    """Those without credentials, long values cut short, and no more of them than fit."""
    kept: dict[str, str] = {}
    room = _MAX_HEADERS
    for name, value in headers.items():
        if _is_harmless(name) and name != signature_header:
            room -= len(name) + min(len(value), _MAX_HEADER)
            if room < 0:
                break
            kept[name] = mask_webhook_secrets(value[:_MAX_HEADER])
    return kept


@lru_cache(maxsize=512)
def _is_harmless(name: str) -> bool:
    return not any(word in name for word in _CREDENTIALS)
