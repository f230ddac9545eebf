"""Texts of people in commands that a message advises: as a shell has to be given them."""

import shlex


def shell_words(*texts: str) -> str:
    """Return the last arguments of a command, quoted; those with a dash are no options."""
    is_like_option = any(text.startswith("-") and text != "-" for text in texts)
    return shlex.join(("--", *texts) if is_like_option else texts)
