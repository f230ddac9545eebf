"""What the API is made of, handed in by whoever builds it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request
from starlette.types import ASGIApp

from tagboat.api.event_hub import EventHub
from tagboat.core.catalog import Registry
from tagboat.core.counters import Counters
from tagboat.core.host_access import no_host_path
from tagboat.core.image import ImageName, ImageRef
from tagboat.core.ingress import Ingress
from tagboat.core.keeping import Disk
from tagboat.core.ports import DeployTriggerer, Polls, Store
from tagboat.core.runtime import Runtime
from tagboat.deploy.orders import Orders
from tagboat.deploy.removal import Removal
from tagboat.deploy.way_back import WaysBack
from tagboat.intake.explain import Explanation


class Check(Protocol):
    """One thing looked at when a registry is tested; `detail` is a sentence for a person."""

    @property
    def name(self) -> str:
        """What was looked at."""

    @property
    def ok(self) -> bool:
        """Whether it is as it must be."""

    @property
    def detail(self) -> str:
        """What was found, and what to do about it."""


class Found(Protocol):
    """The images of a registry. `whole` is False if there are more than are listed."""

    @property
    def images(self) -> Sequence[ImageName]:
        """In order of name."""

    @property
    def whole(self) -> bool:
        """Whether these are all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
    """The services.

    `webhook` is the application for `/api/webhook/{secret}`; `new_secret` makes a new secret and returns it; `examine` tests a
    registry, with the list of an image's tags where one is given; `ways_back` tells what a rollback would come to;
    `list_images` lists a registry's images, `list_tags` an image's tags, both raise RegistryError; `redeliver` carries out the
    delivery of an id once more and returns the receipt's JSON, or raises NotFoundError, ConflictError or InvalidValueError;
    `explain` says what a push would come to;
    `abandon` makes the worker let go of the deploys of stages; `ingress_trouble` says what is wrong with the ingress, None for
    nothing, and is itself None where there is to be no ingress; `disks` looks at the disks of data and engine; `host_path` is
    as for deploys; `log_call` takes method, path, status and milliseconds of a call. `tokens` are those that open the API;
    `public_url` has no trailing slash; `base_domain` is what the stages' own addresses end with, in lower case.
    """

    store: Store
    deployer: DeployTriggerer
    engine: Runtime
    polls: Polls
    ingress: Ingress
    examine: Callable[[Registry, ImageName | None], Awaitable[Sequence[Check]]]
    webhook: ASGIApp
    events: EventHub
    new_secret: Callable[[], Awaitable[str]]
    redeliver: Callable[[str], Awaitable[bytes]]
    explain: Callable[[ImageRef], Awaitable[Explanation]]
    ways_back: WaysBack
    list_images: Callable[[Registry], Awaitable[Found]]
    list_tags: Callable[[ImageName, Registry | None], Awaitable[Sequence[str]]]
    ingress_trouble: Callable[[], Awaitable[str | None]] | None
    disks: Callable[[], Awaitable[Sequence[Disk]]]
    abandon: Callable[[Iterable[str]], Awaitable[None]]
    tokens: tuple[str, ...] = field(repr=False)
    public_url: str
    base_domain: str
    version: str
    clock: Callable[[], datetime]
    counters: Counters
    log_call: Callable[[str, str, int, float], None]
    host_path: Callable[[str], str] = no_host_path

    def webhook_url(self, secret: str) -> str:
        """The URL that senders call, which ends with the secret."""
        return f"{self.public_url}/api/webhook/{secret}"

    @property
    def removal(self) -> Removal:
        """What deletes projects and stages."""
        return Removal(self.store, self.engine, self.abandon, self.clock)

    @property
    def orders(self) -> Orders:
        """What carries out orders other than to deploy a tag."""
        return Orders(self.deployer, self.clock)


async def _services(request: Request) -> ApiServices:
    return cast("ApiServices", request.app.state.services)


Services = Annotated[ApiServices, Depends(_services)]
"""The services, as routes ask for them."""
