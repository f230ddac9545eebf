"""What an error may repeat of the text it complains about."""

_SHOWN = 80


def excerpt(text: str) -> str:
    """`text` in quotes, escaped and cut short, so that an error never repeats a megabyte or a control character."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
