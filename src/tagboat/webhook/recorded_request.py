"""The part of a webhook request that is kept: to show what was sent, and to redeliver it."""

from collections.abc import Mapping
from functools import lru_cache

from tagboat.core.delivery import MAX_BODY, RecordedRequest
from tagboat.core.masking import mask_webhook_secrets

# Kept among the headers, under a name that no header can have.
_REGISTRY_PARAMETER = "?registry"
# Characters that are kept of one header, and of all.
_MAX_HEADER, _MAX_HEADERS = 1024, 8 * 1024
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


def record_request(
    headers: Mapping[str, str],
    body: bytes,
    hook_id: str | None,
    signature_header: str = "",
    *,
    registry: str | None = None,
) -> RecordedRequest:
    """Return what is kept of a request: no credentials, long values shortened.

    Names of `headers` are in lower case. `signature_header` holds a secret and is left out.
    `registry` is the one that the URL names.
    """
    kept: dict[str, str] = {}
    room = _MAX_HEADERS
    for name, value in headers.items():
        if _is_harmless(name) and name != signature_header:
            room -= len(name) + min(len(value), _MAX_HEADER)
            if room < 0:
                break
            # Proxies put the URL that was called into a header, and some senders into the body.
            kept[name] = mask_webhook_secrets(value[:_MAX_HEADER])
    if registry is not None:
        kept[_REGISTRY_PARAMETER] = mask_webhook_secrets(registry[:_MAX_HEADER])
    text = body[:MAX_BODY].decode("utf-8", "replace").replace("\0", "\ufffd")
    return RecordedRequest(
        headers=kept,
        body=mask_webhook_secrets(text),
        truncated=len(body) > MAX_BODY,
        hook_id=hook_id,
    )


def requested_registry(headers: Mapping[str, str]) -> str | None:
    """Return the registry that the URL of a kept request named, None if it named none."""
    return headers.get(_REGISTRY_PARAMETER)


@lru_cache(maxsize=512)
def _is_harmless(name: str) -> bool:
    return not any(word in name for word in _CREDENTIALS)
