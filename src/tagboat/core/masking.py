"""Masking of secrets, of webhook URLs and of apps, in all that is logged, kept or shown."""

import json
import re
from collections.abc import Callable, Iterable

from tagboat.core.harmless import harmless

MASK = "***"
SHORTEST_MASKED = 6
"""Characters. Shorter values are masked only where they stand alone: else they would mask half of
the text, and reveal themselves by that.
"""
_TELLING = 4
"""Letters and digits of a short line, at least."""
_HINT = "webhook"
_CUT = re.compile(r"(?:…| … \(line cut\))$", re.MULTILINE)
# JSON may escape a slash with a backslash.
_WEBHOOK_SECRET = re.compile(r"(\\?/api\\?/webhook\\?/)[^/?#&\s\"'\\\x1b]+")


def mask_values(text: str, values: Iterable[str]) -> str:
    """Return `text` with each of `values`, and each longer line of them, masked.

    Values that are short are masked as words of their own, and so are short lines that tell much.

    Also as they look in JSON, on a terminal or in a sentence, and where a cut line ends within one.
    """
    return masking(values)(text)


def masking(values: Iterable[str]) -> Callable[[str], str]:
    """Return the function that masks `values` in a text, for many texts; see `mask_values`."""
    values, forms = list(values), set[str]()
    # Whole, too: the short lines of one, such as braces, are masked with the others only.
    wholes = {value.strip() for value in values}
    lines = {line.strip() for value in values for line in value.splitlines()}
    for line in wholes | lines:
        shown = harmless(line)
        # As they look on a terminal, in a sentence, and in JSON.
        forms |= {line, shown, shown.strip(), " ".join(shown.split())}
        forms |= {json.dumps(line, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    # Longer ones first, because one secret may contain another.
    secrets = sorted(
        (form for form in forms if len(form) >= SHORTEST_MASKED), key=len, reverse=True
    )
    words = _short_words(wholes, lines)

    def mask(text: str) -> str:
        for secret in secrets:
            # Lines stay lines: their number tells nothing, and people count them.
            text = text.replace(secret, "\n".join([MASK] * (1 + secret.count("\n"))))
        if words is not None:
            text = words.sub(MASK, text)
        if not secrets or not _CUT.search(text):
            return text
        return "\n".join(_mask_cut_end(line, secrets) for line in text.split("\n"))

    return mask


def _short_words(values: set[str], lines: set[str]) -> re.Pattern[str] | None:
    """Return the expression for the short ones as words, None without any.

    Of lines only those that say something: braces and the like stand in many texts.
    """
    told = {line for line in lines if sum(map(str.isalnum, line)) >= _TELLING}
    short = [
        one for one in values | told if len(one) < SHORTEST_MASKED and any(map(str.isalnum, one))
    ]
    if not short:
        return None
    longest_first = sorted(short, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _mask_cut_end(line: str, secrets: Iterable[str]) -> str:
    """Mask the beginning of a secret at the end of a line that was cut."""
    cut = _CUT.search(line)
    if cut is None:
        return line
    kept = line[: cut.start()]
    for secret in secrets:
        # The longest beginning first; short ones would match by chance.
        for length in range(len(secret) - 1, SHORTEST_MASKED - 1, -1):
            if kept.endswith(secret[:length]):
                kept = kept[:-length] + MASK
                break
    return kept + cut[0]


def mask_webhook_secrets(text: str) -> str:
    """Return `text` with everything after `/api/webhook/` masked."""
    return _WEBHOOK_SECRET.sub(rf"\1{MASK}", text) if _HINT in text else text
