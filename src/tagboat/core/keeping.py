"""The images, volumes and records that are kept, and the states that once were live."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from tagboat.core.deploy import InstanceState
from tagboat.core.image import Digest, ImageName
from tagboat.core.principal import SERVER, Principal

WERE_LIVE = frozenset({InstanceState.LIVE, InstanceState.DRAINING, InstanceState.STOPPED})
"""The states of instances that serve or once served, and to which one can go back."""

LEAST_FREE_BYTES = 1 << 30
"""Free bytes of a disk; with less, the next image or the database may not fit."""

LEAST_TARGETS = 2
"""Digests of a stage whose records stay, however old: the live one, and the one before."""


class PulledImage(Struct, frozen=True):
    """An image that Tagboat has pulled to the engine.

    `removing_until` is set while it is being removed: the time when that ends at the latest.
    """

    image: ImageName
    digest: Digest
    pulled_at: datetime
    removing_until: datetime | None = None

    def __str__(self) -> str:
        return f"{self.image}@{self.digest}"


class Deletion(Struct, frozen=True):
    """A project that is being deleted, or one stage of it, with its `volumes` or without.

    `stage_id` is empty for the whole project. `actor` is the one that has ordered it.
    """

    project_id: str
    stage_id: str = ""
    volumes: bool = False
    actor: Principal = SERVER


class LeftVolumes(Struct, frozen=True):
    """The volumes of a deleted project or stage, by the engine's names: kept and removed ones.

    A name of one that is on a node of a swarm, and so is kept, is followed by `(on NODE)`.
    """

    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Disk(Struct, frozen=True):
    """The disk of the `data` or of the `engine`, at a path of it; `free` and `total` are bytes."""

    name: str
    path: str
    free: int
    total: int

    @property
    def low(self) -> bool:
        """True if it will soon be full."""
        return self.free < LEAST_FREE_BYTES


class ImageSize(Struct, frozen=True):
    """An image on the engine: its names (`NAME@DIGEST`) and its bytes, with shared layers."""

    names: frozenset[str]
    size: int


class Volume(Struct, frozen=True):
    """A volume on the engine; `size` is bytes, None where the engine does not say."""

    name: str
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class DiskUsage(Struct, frozen=True):
    """The disk usage of the engine, with all that others have made.

    `layers` are the bytes of all images, each layer counted once.
    """

    images: tuple[ImageSize, ...] = ()
    volumes: tuple[Volume, ...] = ()
    layers: int = 0
