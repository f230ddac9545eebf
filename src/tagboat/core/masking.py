"""Keeping the secrets of webhook URLs out of what is logged, kept or shown."""

import re

MASK = "***"
_HINT = "webhook"
# JSON may spell a slash with a backslash before it.
_WEBHOOK_SECRET = re.compile(r"(\\?/api\\?/webhook\\?/)[^/?#&\s\"'\\\x1b]+")


def mask_webhook_secrets(text: str) -> str:
    """`text` with whatever follows `/api/webhook/` masked."""
    return _WEBHOOK_SECRET.sub(rf"\1{MASK}", text) if _HINT in text else text
