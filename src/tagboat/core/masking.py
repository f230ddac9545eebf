"""Keeping secrets, of webhook URLs and of apps, out of what is logged, kept or shown."""

import json
import re
from collections.abc import Iterable, Iterator

from tagboat.core.harmless import harmless

MASK = "***"
SHORTEST_MASKED = 6
"""Characters."""
_HINT = "webhook"
_CUT = re.compile(r"(?:…| … \(line cut\))$", re.MULTILINE)
# JSON may spell a slash with a backslash before it.
_WEBHOOK_SECRET = re.compile(r"(\\?/api\\?/webhook\\?/)[^/?#&\s\"'\\\x1b]+")


def mask_values(text: str, values: Iterable[str]) -> str:
    """`text` with each of `values`, and each longer line of them, masked; also one that the end of a cut line breaks off.

    And as they look in JSON, and after what is shown was made fit for a terminal or for a sentence.
    """
    lines = {line.strip() for value in values for line in value.splitlines()}
    forms = {form for line in lines for form in _forms(line)}
    # Shorter ones would mask half of the text, and tell what they are by that.
    secrets = sorted(
        (form for form in forms if len(form) >= SHORTEST_MASKED), key=len, reverse=True
    )
    for secret in secrets:
        text = text.replace(secret, MASK)
    if not secrets or not _CUT.search(text):
        return text
    return "\n".join(_without_beginnings(line, secrets) for line in text.split("\n"))


def _forms(line: str) -> Iterator[str]:
    shown = harmless(line)
    yield from (line, shown, shown.strip(), " ".join(shown.split()))
    yield from (json.dumps(line, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))


def _without_beginnings(line: str, secrets: Iterable[str]) -> str:
    cut = _CUT.search(line)
    if cut is None:
        return line
    kept = line[: cut.start()]
    for secret in secrets:
        kept = _without_beginning(kept, secret)
    return kept + cut[0]


def _without_beginning(text: str, secret: str) -> str:
    for length in range(len(secret) - 1, SHORTEST_MASKED - 1, -1):
        if text.endswith(secret[:length]):
            return text[:-length] + MASK
    return text


def mask_webhook_secrets(text: str) -> str:
    """`text` with whatever follows `/api/webhook/` masked."""
    return _WEBHOOK_SECRET.sub(rf"\1{MASK}", text) if _HINT in text else text
