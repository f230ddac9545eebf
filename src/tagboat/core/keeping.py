"""What is kept of what was, and what counts as having been live."""

from dataclasses import dataclass
from datetime import datetime

from tagboat.core.deploy import InstanceState
from tagboat.core.image import Digest, ImageName

WERE_LIVE = frozenset({InstanceState.LIVE, InstanceState.DRAINING, InstanceState.STOPPED})
"""The states of instances that serve or once served, and to which one can go back."""

LEAST_TARGETS = 2
"""Of so many digests of a stage at least, the records stay, however old: of what is live, and of what was before."""


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image that the engine has because Tagboat had it pulled. While it is being removed, at most `removing_until`."""

    image: ImageName
    digest: Digest
    pulled_at: datetime
    removing_until: datetime | None = None

    def __str__(self) -> str:
        return f"{self.image}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Deletion:
    """A project, or a stage of it (empty: all of it), that is being deleted, with its `volumes` or without."""

    project_id: str
    stage_id: str = ""
    volumes: bool = False


@dataclass(frozen=True, slots=True)
class LeftVolumes:
    """The volumes of what was deleted, by the engine's names: those that stay, and those that were removed as well."""

    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
