"""What is kept of a call, so that people can see what was sent, and have it taken in again."""

from collections.abc import Mapping
from functools import lru_cache

from tagboat.core.delivery import MAX_BODY, Account
from tagboat.core.masking import mask_webhook_secrets

_REGISTRY = "?registry"
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
) -> Account:
    """What is kept of a call with `headers` (names in lower case) and `body`; `signature_header` holds a secret.

    Proxies tell the address that was called in a header, and some senders in the body: without its secret in either. The
    `registry` that the URL names is kept among the headers, by a name that no header can have.
    """
    kept = {
        name: mask_webhook_secrets(value) for name, value in headers.items() if _is_harmless(name) and name != signature_header
    }
    if registry is not None:
        kept[_REGISTRY] = mask_webhook_secrets(registry)
    return Account(
        headers=kept,
        body=mask_webhook_secrets(body[:MAX_BODY].decode("utf-8", "replace").replace("\0", "\ufffd")),
        truncated=len(body) > MAX_BODY,
        hook_id=hook_id,
    )


def registry_of(headers: Mapping[str, str]) -> str | None:
    """Return the registry that the URL of a kept call named, None where it named none."""
    return headers.get(_REGISTRY)


@lru_cache(maxsize=512)
def _is_harmless(name: str) -> bool:
    return not any(word in name for word in _CREDENTIALS)
