"""Names of projects and stages, and the names derived from them."""

import hashlib
import itertools
import re
from collections.abc import Iterator

from tagboat.core.errors import InvalidValueError

# Characters of a DNS label: names become host names.
MAX_LENGTH = 63
FEW_CHOICES = 9
# Characters of a base domain: a host has at most 253, and a label of 63 goes before it.
MAX_BASE_DOMAIN = 189

_NETWORK_PREFIX = "tagboat-"
_PROJECT_NETWORK = re.compile(rf"{_NETWORK_PREFIX}[0-9a-f]{{24}}", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", re.ASCII)
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


def parse_name(text: str) -> str:
    """Return `text` if it can be the name of a project or stage; else raise InvalidValueError."""
    if len(text) > MAX_LENGTH or not _NAME.fullmatch(text):
        raise InvalidValueError(
            f"{text[:80]!r} cannot be a name: lower-case letters, digits, '.', '_' and '-', "
            f"beginning and ending with a letter or digit, at most {MAX_LENGTH} characters"
        )
    return text


def name_choices(wanted: str, whole: str) -> Iterator[str]:
    """Yield names for a project: `wanted`, `wanted-2` to `wanted-9`, then without end.

    Each is cut to `MAX_LENGTH`. After the first `FEW_CHOICES` comes one with a hash of `whole`,
    which is almost never in use.
    """
    mark = _short_hash(whole)
    numbered = (str(number) for number in range(2, FEW_CHOICES + 1))
    yield wanted[:MAX_LENGTH].rstrip("._-")
    for end in itertools.chain(
        numbered, [mark], (f"{mark}-{number}" for number in itertools.count(2))
    ):
        yield f"{wanted[: MAX_LENGTH - len(end) - 1].rstrip('._-')}-{end}"


def container_name(project: str, stage: str, short: str) -> str:
    """Return the name of an instance's container: `PROJECT-STAGE-SHORTID`."""
    return f"{project}-{stage}-{short}"


def stage_host(project: str, stage: str, base_domain: str) -> str:
    """Return the host of a stage: `PROJECT-STAGE.BASE_DOMAIN`, a slug, at most 253 characters."""
    return f"{slug(f'{project}-{stage}')}.{base_domain}"


def instance_host(project: str, stage: str, tag: str, base_domain: str) -> str:
    """Return the host of one of several instances of a stage: `PROJECT-STAGE-TAG.BASE_DOMAIN`.

    The tag is in lower case, and the label is a slug.
    """
    return f"{slug(_named_by_tag(project, stage, tag))}.{base_domain}"


def network_name(project: str, stage: str) -> str:
    """Return the alias of a stage's live instance on a network: the slug `PROJECT-STAGE`."""
    return slug(f"{project}-{stage}")


def project_network(project_id: str) -> str:
    """Return the name of a project's own network: `tagboat-PROJECT_ID`."""
    # By id: a new name of the project needs no new network.
    return f"{_NETWORK_PREFIX}{project_id}"


def is_project_network(name: str) -> bool:
    """Return whether `name` is that of a project's own network."""
    return _PROJECT_NETWORK.fullmatch(name) is not None


def project_of_network(name: str) -> str:
    """Return the id of the project whose network is called `name`."""
    return name.removeprefix(_NETWORK_PREFIX)


def slug(text: str) -> str:
    """Return lower-case `text` as one label of a host name.

    Each run of characters other than a-z and 0-9 becomes one `-`. A result longer than `MAX_LENGTH`
    is cut and ends in a hash of all of it.
    """
    label = _NOT_SLUG.sub("-", text).strip("-")
    if len(label) <= MAX_LENGTH:
        return label
    # Long names that differ only at the end must not become one host.
    mark = _short_hash(text)
    return f"{label[: MAX_LENGTH - len(mark) - 1].rstrip('-')}-{mark}"


def earlier_stage_host(project: str, stage: str, base_domain: str) -> str:
    """Return the host of a stage from before hosts were slugs; it still answers."""
    return f"{_earlier_label(f'{project}-{stage}')}.{base_domain}"


def earlier_instance_host(project: str, stage: str, tag: str, base_domain: str) -> str:
    """Return the host of an instance from before hosts were slugs; it still answers."""
    return f"{_earlier_label(_named_by_tag(project, stage, tag))}.{base_domain}"


def _named_by_tag(project: str, stage: str, tag: str) -> str:
    named = _NOT_SLUG.sub("-", tag.lower()).strip("-") or _short_hash(tag)
    return f"{project}-{stage}-{named}"


# The rule from before slugs: stages still answer at those hosts.
def _earlier_label(text: str) -> str:
    if all(len(part) <= MAX_LENGTH for part in text.split(".")):
        return text
    mark = _short_hash(text)
    return f"{text[: MAX_LENGTH - len(mark) - 1].rstrip('._-')}-{mark}"


def _short_hash(text: str) -> str:
    # Short enough for a label, and long enough for the names of one installation.
    return hashlib.sha256(text.encode()).hexdigest()[:8]
