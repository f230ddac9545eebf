"""Keeping secrets, of webhook URLs and of apps, out of what is logged, kept or shown."""

import re
from collections.abc import Iterable

MASK = "***"
SHORTEST_MASKED = 4
"""Characters."""
_HINT = "webhook"
# JSON may spell a slash with a backslash before it.
_WEBHOOK_SECRET = re.compile(r"(\\?/api\\?/webhook\\?/)[^/?#&\s\"'\\\x1b]+")


def mask_values(text: str, values: Iterable[str]) -> str:
    """`text` with each of `values`, and each longer line of them, masked; also one that the end of `text` cuts short."""
    for secret in sorted({line.strip() for value in values for line in value.splitlines()}, key=len, reverse=True):
        if len(secret) < SHORTEST_MASKED:
            continue  # it would mask half of the text, and tell what it is by that
        text = text.replace(secret, MASK)
        if text.endswith("…"):
            text = _without_beginning(text[:-1], secret) + "…"
    return text


def _without_beginning(text: str, secret: str) -> str:
    for length in range(len(secret) - 1, SHORTEST_MASKED - 1, -1):
        if text.endswith(secret[:length]):
            return text[:-length] + MASK
    return text


def mask_webhook_secrets(text: str) -> str:
    """`text` with whatever follows `/api/webhook/` masked."""
    return _WEBHOOK_SECRET.sub(rf"\1{MASK}", text) if _HINT in text else text
