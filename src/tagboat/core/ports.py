"""Ports of the rooms to the outside. Adapters implement these protocols; `app.py` connects them."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from tagboat.core.catalog import Registry
from tagboat.core.deploy import Trigger
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.polling import PollReport
from tagboat.core.principal import SERVER, Principal
from tagboat.core.push import Outcome
from tagboat.core.store_port import Reader, Store, Topic, Tx

# The store's port is a module of its own; most callers need both, and import them from here.
__all__ = ["Reader", "Store", "Topic", "Tx"]


class Queued(Struct, frozen=True):
    """The result of queueing a push.

    `outcome` is `queued` for a new deploy, `merged` for one that was waiting already.
    """

    outcome: Outcome
    deploy_id: str


class DeployTriggerer(Protocol):
    """The queue of deploys, which a worker carries out.

    It is called inside the transaction `tx`, so that a push and its deploy are committed together.
    `ordered_by` is the name of who has ordered it, None for a push or a poll. With `exact`, the
    `digest` is deployed whatever the tag points to by then.
    """

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
        exact: bool = False,
        image: ImageName | None = None,
        ordered_by: str | None = None,
        note: str = "",
    ) -> Queued: ...


class ImageInspector(Protocol):
    """The source of an image's metadata (EXPOSE, HEALTHCHECK, labels).

    Raises RegistryError or EngineError if neither the engine nor the registry has it.
    `inspect_at_registry` asks only the registry, by manifest: the digest is all that it tells.
    """

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo: ...
    async def inspect_at_registry(
        self, image_ref: ImageRef, registry: Registry | None
    ) -> ImageInfo: ...


class TagSource(Protocol):
    """A registry, read only. All methods raise RegistryError.

    `registry` is None for a host that is not configured: it is asked without a login, at a URL made
    from the image's host. `list_tags` returns all tags in the registry's order, never a part.
    """

    async def list_tags(self, image: ImageName, registry: Registry | None) -> list[str]: ...
    async def resolve(self, image: ImageName, tag: str, registry: Registry | None) -> Digest: ...
    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo: ...


class Polls(Protocol):
    """The poller, for polls on request.

    `poll_now` polls a project for `actor`. `next_at` returns the time of the next scheduled polls,
    None while it is unknown. `settle` returns when that time follows the settings committed before.
    """

    async def poll_now(self, project_id: str, actor: Principal = SERVER) -> PollReport: ...
    def next_at(self) -> datetime | None: ...
    async def settle(self) -> None: ...
