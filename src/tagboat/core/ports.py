"""What the rooms ask of the outside, as protocols. Adapters implement them; decisions never know which."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tagboat.core.catalog import Registry
from tagboat.core.deploy import Trigger
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.polling import PollReport
from tagboat.core.push import Outcome
from tagboat.core.store_port import Reader, Store, Topic, Tx

# The store's port is a module of its own; most callers need both, and import them from here.
__all__ = ["Reader", "Store", "Topic", "Tx"]


@dataclass(frozen=True, slots=True)
class Queued:
    """What queueing came to: the deploy, and whether it was there already (`queued` or `merged`)."""

    outcome: Outcome
    deploy_id: str


class DeployTriggerer(Protocol):
    """Queues a deploy; a worker carries it out. Called inside the transaction `tx`, so that news and deploy commit as one."""

    def trigger_deploy(
        self,
        project_id: str,
        stage_id: str,
        image_tag: str,
        *,
        tx: Tx,
        trigger: Trigger = Trigger.MANUAL,
        digest: Digest | None = None,
        force: bool = False,
        image: ImageName | None = None,
    ) -> Queued: ...


class ImageInspector(Protocol):
    """Says what an image says of itself. Raises RegistryError or EngineError when nobody can tell."""

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo: ...


class TagSource(Protocol):
    """A registry, read only. `registry` is None for one that nobody configured: anonymous, URL from the image's host.

    All raise RegistryError. `list_tags` answers the whole list, in the registry's order, or raises: never a part of it.
    """

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]: ...
    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest: ...
    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo: ...


class Polls(Protocol):
    """Polls on request. `next_at` is when the next scheduled poll of a project is due, None before it is known.

    `settle` returns once that goes by the settings that were committed before.
    """

    async def poll_now(self, project_id: str) -> PollReport: ...
    def next_at(self) -> datetime | None: ...
    async def settle(self) -> None: ...
