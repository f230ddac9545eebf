"""Names of projects and stages, and what is made of them."""

import hashlib
import itertools
import re
from collections.abc import Iterator

from tagboat.core.errors import InvalidValueError

MAX_LENGTH = 63
"""Characters; that of a DNS label, since names become host names."""
FEW_CHOICES = 9
MAX_BASE_DOMAIN = 189
"""Characters of a base domain: a host has 253 at most, and a whole label goes before it."""

_NETWORK_PREFIX = "tagboat-"
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


def name_choices(wanted: str, whole: str) -> Iterator[str]:
    """What to call a project, the first that is free: `wanted`, cut to length, `wanted-2` to `wanted-9`, others without end.

    After the first `FEW_CHOICES` comes one with a hash of `whole`: however many have the same name, it is hardly ever taken.
    """
    mark = _short_hash(whole)
    numbered = (str(number) for number in range(2, FEW_CHOICES + 1))
    yield wanted[:MAX_LENGTH].rstrip("._-")
    for end in itertools.chain(
        numbered, [mark], (f"{mark}-{number}" for number in itertools.count(2))
    ):
        yield f"{wanted[: MAX_LENGTH - len(end) - 1].rstrip('._-')}-{end}"


def container_name(project: str, stage: str, short: str) -> str:
    """The name of an instance's container: `PROJECT-STAGE-SHORTID`."""
    return f"{project}-{stage}-{short}"


def stage_host(project: str, stage: str, base_domain: str) -> str:
    """The host at which a stage answers: `PROJECT-STAGE.BASE_DOMAIN`, at most 253 characters, names as `slug` makes them."""
    return f"{slug(f'{project}-{stage}')}.{base_domain}"


def instance_host(project: str, stage: str, tag: str, base_domain: str) -> str:
    """The host of one instance among several of a stage: `PROJECT-STAGE-TAG.BASE_DOMAIN`, the tag in lower case, as a slug."""
    return f"{slug(_named_by_tag(project, stage, tag))}.{base_domain}"


def network_name(project: str, stage: str) -> str:
    """The name by which a stage's live instance is found on a network: `PROJECT-STAGE`, as `slug` makes it."""
    return slug(f"{project}-{stage}")


def project_network(project_id: str) -> str:
    """The name of the network that the containers of a project, and no others, are on: `tagboat-PROJECT_ID`."""
    return f"{_NETWORK_PREFIX}{project_id}"


def project_of_network(name: str) -> str:
    """The id of the project whose network `name` is."""
    return name.removeprefix(_NETWORK_PREFIX)


def slug(text: str) -> str:
    """`text` (in lower case) as one label of a host name: every run of other than a-z and 0-9 becomes one `-`.

    One longer than `MAX_LENGTH` characters is cut to its beginning and a hash of all of it.
    """
    label = _NO_SLUG.sub("-", text).strip("-")
    if len(label) <= MAX_LENGTH:
        return label
    mark = _short_hash(text)
    return f"{label[: MAX_LENGTH - len(mark) - 1].rstrip('-')}-{mark}"


def earlier_stage_host(project: str, stage: str, base_domain: str) -> str:
    """Where a stage answered before hosts were made of slugs, and answers still."""
    return f"{_earlier_label(f'{project}-{stage}')}.{base_domain}"


def earlier_instance_host(project: str, stage: str, tag: str, base_domain: str) -> str:
    """Where an instance answered before hosts were made of slugs, and answers still."""
    return f"{_earlier_label(_named_by_tag(project, stage, tag))}.{base_domain}"


def _named_by_tag(project: str, stage: str, tag: str) -> str:
    named = _NO_SLUG.sub("-", tag.lower()).strip("-") or _short_hash(tag)
    return f"{project}-{stage}-{named}"


def _earlier_label(text: str) -> str:
    if all(len(part) <= MAX_LENGTH for part in text.split(".")):
        return text
    mark = _short_hash(text)
    return f"{text[: MAX_LENGTH - len(mark) - 1].rstrip('._-')}-{mark}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
