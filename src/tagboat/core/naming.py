"""Names of projects and stages, and what is made of them."""

import hashlib
import re
from collections.abc import Callable

from tagboat.core.errors import InvalidValueError

MAX_LENGTH = 63
"""Characters; that of a DNS label, since names become host names."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.ASCII)
_NO_SLUG = re.compile(r"[^a-z0-9]+")


def parse_name(text: str) -> str:
    """Return `text` if it can name a project or stage; else raise InvalidValueError."""
    if len(text) > MAX_LENGTH or not _NAME.fullmatch(text):
        raise InvalidValueError(
            f"{text[:80]!r} cannot be a name: lower-case letters, digits, '.', '_' and '-', beginning and ending with a "
            f"letter or digit, at most {MAX_LENGTH} characters"
        )
    return text


def unique_name(wanted: str, taken: Callable[[str], bool]) -> str:
    """Return `wanted`, cut to length, or the first free one of `wanted-2`, `wanted-3` and so on."""
    base = wanted[:MAX_LENGTH].rstrip("._-")
    if not taken(base):
        return base
    number = 2
    while taken(name := f"{base[: MAX_LENGTH - len(str(number)) - 1]}-{number}"):
        number += 1
    return name


def container_name(project: str, stage: str, short: str) -> str:
    """The name of an instance's container: `PROJECT-STAGE-SHORTID`."""
    return f"{project}-{stage}-{short}"


def stage_host(project: str, stage: str, base_domain: str) -> str:
    """The host at which a stage answers: `PROJECT-STAGE.BASE_DOMAIN`, the names cut as `_label` says."""
    return f"{_label(f'{project}-{stage}')}.{base_domain}"


def instance_host(project: str, stage: str, tag: str, base_domain: str) -> str:
    """The host of one instance among several of a stage: `PROJECT-STAGE-TAGSLUG.BASE_DOMAIN`.

    The slug is the tag in lower case, every run of other than a-z and 0-9 as one `-`, none at either end.
    """
    slug = _NO_SLUG.sub("-", tag.lower()).strip("-") or _short_hash(tag)
    return f"{_label(f'{project}-{stage}-{slug}')}.{base_domain}"


def _label(text: str) -> str:
    """`text` if DNS takes it (63 bytes between dots, RFC 1035), else its beginning and a hash of all of it, 63 in sum."""
    if all(len(part) <= MAX_LENGTH for part in text.split(".")):
        return text
    mark = _short_hash(text)
    return f"{text[: MAX_LENGTH - len(mark) - 1].rstrip('._-')}-{mark}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
