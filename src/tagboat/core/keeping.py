"""The images, volumes and records that are kept, and the states that once were live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tagboat.core.deploy import InstanceState
from tagboat.core.image import Digest, ImageName

WERE_LIVE = frozenset({InstanceState.LIVE, InstanceState.DRAINING, InstanceState.STOPPED})
"""The states of instances that serve or once served, and to which one can go back."""

LEAST_FREE_BYTES = 1 << 30
"""With less room than that, the next image or the database may not fit."""

LEAST_TARGETS = 2
"""Of so many digests of a stage at least, the records stay, however old.

Of what is live, and of what was before.
"""


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image that the engine has because Tagboat had it pulled.

    While it is being removed, at most `removing_until`.
    """

    image: ImageName
    digest: Digest
    pulled_at: datetime
    removing_until: datetime | None = None

    def __str__(self) -> str:
        return f"{self.image}@{self.digest}"


@dataclass(frozen=True, slots=True)
class Deletion:
    """A project, or a stage of it (empty.

    All of it), that is being deleted, with its `volumes` or without.
    """

    project_id: str
    stage_id: str = ""
    volumes: bool = False


@dataclass(frozen=True, slots=True)
class LeftVolumes:
    """The volumes of what was deleted, by the engine's names.

    Those that stay, and those that were removed as well.
    """

    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the `data` or of the `engine`, at a path of it; `free` and `total` are bytes."""

    name: str
    path: str
    free: int
    total: int

    @property
    def low(self) -> bool:
        """True where it will soon be full."""
        return self.free < LEAST_FREE_BYTES


@dataclass(frozen=True, slots=True)
class ImageSize:
    """An image on the engine.

    Its names `NAME@DIGEST`, and its bytes with what it shares with others.
    """

    names: frozenset[str]
    size: int


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume on the engine; `size` is bytes, None where the engine does not say."""

    name: str
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The disk usage of the engine, with all that others have made.

    `layers` are the bytes of all images, each layer counted once.
    """

    images: tuple[ImageSize, ...] = ()
    volumes: tuple[Volume, ...] = ()
    layers: int = 0
