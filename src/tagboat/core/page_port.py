"""The parts of the store's port that pages are read from, with the conventions of `store_port`.

Each read is one statement by an index, however much there is.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from tagboat.core.catalog import HeldPush, KnownTag, Project, Stage
from tagboat.core.delivery import PastPush
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, TakenBack
from tagboat.core.health import Vitals
from tagboat.core.heard import HeardCall, PollFinds
from tagboat.core.image import Digest, ImageName
from tagboat.core.run import RunConfig

# By names and position, not by id: pages follow the order that people see.
StagePlace = tuple[str, int, str]
"""The place of a stage among all: the name of its project, its position, its name."""


class ReadModelReader(Protocol):
    """Reads for many stages at once, in a fixed number of statements."""

    def stages_page(
        self,
        *,
        project: str | None = None,
        stage: str | None = None,
        after: StagePlace | None = None,
        limit: int | None = None,
    ) -> list[Stage]: ...
    def stages_by_id(self, stage_ids: Collection[str]) -> dict[str, Stage]: ...
    def open_deploys_in(self, stage_ids: Collection[str]) -> list[Deploy]: ...
    def newest_deploys(
        self, stage_ids: Collection[str], status: DeployStatus | None = None
    ) -> dict[str, Deploy]: ...
    def last_successes(self) -> dict[str, datetime]: ...
    def instances_in(
        self, stage_ids: Collection[str], states: Collection[InstanceState]
    ) -> list[Instance]: ...
    def held_pushes_in(self, stage_ids: Collection[str]) -> list[HeldPush]: ...
    def taken_back_in(self, stage_ids: Collection[str]) -> list[TakenBack]: ...
    def previous_instances(self, stage_ids: Collection[str]) -> dict[str, Instance]: ...
    def configured_deploys(self, deploy_ids: Collection[str]) -> set[str]: ...
    def stages_with_options(self) -> list[Stage]: ...
    # Those of active instances, each with the id of its stage.
    def running_configs(self) -> list[tuple[str, RunConfig]]: ...


TagPlace = tuple[datetime, str]
"""The place of a tag among those of a project, newest first: when it was first seen, its text."""


class WaitingPushes(Struct, frozen=True, kw_only=True):
    """The pushes that wait in a stage: how many, the newest tag, and when the first one came."""

    stage_id: str
    pushes: int
    newest: str
    since: datetime


class ProjectImage(Struct, frozen=True):
    """A project by name, its image, and the id of the registry that it names; None if by host."""

    name: str
    image: ImageName
    registry_id: str | None


class StageFailure(Struct, frozen=True):
    """The failed deploy that a stage is in trouble by, with its project and stage, all by id."""

    deploy_id: str
    project_id: str
    stage_id: str


class PageReader(Protocol):
    """Reads that pages are made of, quick however much there is."""

    # Without what it takes to run them: there may be many.
    def project_images(self) -> list[ProjectImage]: ...
    def deploys_by_id(self, deploy_ids: Collection[str]) -> dict[str, Deploy]: ...
    def instances_that_lived(
        self, stage_id: str, before: str = "", limit: int | None = None
    ) -> list[Instance]: ...
    def newest_release(self, stage_id: str) -> Deploy | None: ...
    def pulled_among(self, digests: Collection[Digest]) -> set[tuple[ImageName, Digest]]: ...
    def tags_page(
        self,
        project_id: str,
        text: str = "",
        after: TagPlace | None = None,
        limit: int | None = None,
    ) -> list[KnownTag]: ...
    def tag_names(self, project_id: str, limit: int) -> list[tuple[str, datetime]]: ...
    def last_pushes(self, project_id: str, limit: int) -> list[PastPush]: ...
    def failures(self, since: datetime, limit: int) -> list[StageFailure]: ...
    def waiting_pushes(self, limit: int) -> list[WaitingPushes]: ...
    def troubled_instances(self, limit: int) -> list[tuple[Instance, Vitals]]: ...


class HeardReader(Protocol):
    """The last calls of senders, and the pushes that only polls found."""

    def heard_calls(self) -> list[HeardCall]: ...
    def last_call_of(self, host: str) -> datetime | None: ...
    def poll_finds(self, host: str | None = None) -> list[PollFinds]: ...


class HeardWriter(HeardReader, Protocol):
    """Changes of what was heard."""

    def note_call(self, call: HeardCall) -> None: ...
    def put_poll_finds(self, finds: PollFinds) -> None: ...


class MatrixReader(Protocol):
    """Reads of projects by what is written in their names, and by the state of their stages.

    `projects_page` has those of the ids `among`, None for all, by name beyond `after`.
    """

    def projects_page(
        self, text: str, among: Collection[str] | None, after: str, limit: int
    ) -> list[Project]: ...

    def deploying_projects(self) -> set[str]: ...
    def newest_open_deploys(self, limit: int) -> list[Deploy]: ...

    def held_projects(self) -> set[str]: ...

    def stage_names(self, limit: int) -> Sequence[tuple[str, int]]: ...
