"""Tag patterns and the choice of the newest tag. (being built)"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A stage's tag pattern, parsed."""

    text: str

    def matches(self, tag: str) -> bool:
        raise NotImplementedError

    def covers(self, other: "TagPattern") -> bool:
        raise NotImplementedError

    @property
    def literal(self) -> str | None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Candidate:
    tag: str
    created: datetime | None = None


def parse_tag_pattern(text: str) -> TagPattern:
    raise NotImplementedError


def newest(candidates: Sequence[Candidate]) -> Candidate:
    raise NotImplementedError
