"""One consistent view of the database: the `Reader` of the ports."""

from collections.abc import Collection, Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    and_,
    exists,
    func,
    not_,
    or_,
    select,
    type_coerce,
)

from tagboat.core.catalog import HeldPush, KnownTag, Project, Registry, Stage
from tagboat.core.delivery import Delivery, DeliverySummary
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState, TakenBack, Version
from tagboat.core.errors import NotFoundError
from tagboat.core.health import Vitals
from tagboat.core.hosts import HostClaim
from tagboat.core.image import ImageName
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.project_webhook import ProjectWebhook, Signature
from tagboat.core.push import Source
from tagboat.core.run import RunConfig
from tagboat.store import claims, tables
from tagboat.store.kept import KeptReader
from tagboat.store.rows import SIGNATURE_SETTING, SealedRows, from_row

V = TypeVar("V")
_SUMMARY = [tables.deliveries.c[field.name] for field in fields(DeliverySummary)]


class SqlReader(KeptReader):
    """Reads through one connection, inside whatever transaction that is in."""

    def __init__(self, connection: Connection, rows: SealedRows) -> None:
        self._connection = connection
        self._rows = rows

    def setting(self, name: str) -> object | None:
        """The value of a setting, None when it was never set."""
        value = self._connection.scalar(
            select(tables.settings.c.value).where(tables.settings.c.name == name)
        )
        return self._rows.setting(name, value)

    def project(self, project_id: str) -> Project:
        """The project of that id."""
        return self._first_project(
            select(tables.projects).where(tables.projects.c.id == project_id)
        ) or _missing("project", project_id)

    def project_by_image(self, image: ImageName) -> Project | None:
        """The project that deploys `image`."""
        return self._first_project(select(tables.projects).where(tables.projects.c.image == image))

    def projects_by_image(self, images: Collection[ImageName]) -> dict[ImageName, Project]:
        """The projects that deploy those of the images that any deploys."""
        found = self._projects_of(
            select(tables.projects).where(tables.projects.c.image.in_(images))
        )
        return {project.image: project for project in found}

    def names_taken(self, names: Collection[str]) -> set[str]:
        """Those of the names that projects have."""
        return set(
            self._connection.scalars(
                select(tables.projects.c.name).where(tables.projects.c.name.in_(names))
            )
        )

    def project_by_name(self, name: str) -> Project | None:
        """The project of that name."""
        return self._first_project(select(tables.projects).where(tables.projects.c.name == name))

    def projects(self, after: str = "", limit: int | None = None) -> list[Project]:
        """Projects in order of name, from the first name beyond `after`."""
        table = tables.projects
        return self._projects_of(
            select(table).where(table.c.name > after).order_by(table.c.name).limit(limit)
        )

    def count_projects(self) -> int:
        """How many projects there are."""
        return self._connection.scalar(select(func.count()).select_from(tables.projects)) or 0

    def projects_by_id(self, project_ids: Collection[str]) -> dict[str, Project]:
        """Those of the projects that there are, by their ids."""
        found = self._projects_of(
            select(tables.projects).where(tables.projects.c.id.in_(project_ids))
        )
        return {project.id: project for project in found}

    def stage(self, stage_id: str) -> Stage:
        """The stage of that id."""
        found = self._stages_of(select(tables.stages).where(tables.stages.c.id == stage_id))
        return found[0] if found else _missing("stage", stage_id)

    def stages(self, project_id: str) -> list[Stage]:
        """The stages of a project in the order in which they are tried: by position, then by name."""
        return self.stages_by_project([project_id])[project_id]

    def stages_by_project(self, project_ids: Collection[str]) -> dict[str, list[Stage]]:
        """The same of several projects, by project id."""
        found: dict[str, list[Stage]] = {project_id: [] for project_id in project_ids}
        for stage in self._stages_of(
            select(tables.stages).where(tables.stages.c.project_id.in_(project_ids))
        ):
            found[stage.project_id].append(stage)
        for stages in found.values():
            # Sorted here and not there: databases disagree on the order of text.
            stages.sort(key=lambda stage: (stage.position, stage.name))
        return found

    def stages_with_ttl(self) -> list[Stage]:
        """The stages whose instances live for so many hours only."""
        return self._stages_of(select(tables.stages).where(tables.stages.c.ttl_h.is_not(None)))

    def stages_without_hosts(self) -> list[Stage]:
        """The stages that older servers have written, whose claims to hosts are not on record."""
        return self._stages_of(
            select(tables.stages).where(tables.stages.c.id.not_in(select(tables.hosts.c.stage_id)))
        )

    def host_claims(self, hosts: Collection[str]) -> list[HostClaim]:
        """The claims of stages to any of `hosts`, in no order."""
        return self._all(HostClaim, select(tables.hosts).where(tables.hosts.c.host.in_(hosts)))

    def registry(self, registry_id: str) -> Registry:
        """The registry of that id, its password in the clear."""
        return self._registry(
            select(tables.registries).where(tables.registries.c.id == registry_id)
        ) or _missing("registry", registry_id)

    def registries(self, after: str = "", limit: int | None = None) -> list[Registry]:
        """Registries in order of name, from the first name beyond `after`."""
        table = tables.registries
        query = select(table).where(table.c.name > after).order_by(table.c.name).limit(limit)
        return [self._rows.registry(row) for row in self._rows_of(query)]

    def registry_of(self, project: Project) -> Registry | None:
        """The registry the project names, else the one of its image's host, else None."""
        if project.registry_id is not None:
            return self.registry(project.registry_id)
        return self.registry_for_host(project.image.host)

    def registry_for_host(self, host: str) -> Registry | None:
        """The registry whose images begin with `host`; where that ends in TLS's own port, also one without it."""
        found = self._registry(select(tables.registries).where(tables.registries.c.host == host))
        if found is not None or not host.endswith(":443"):
            return found
        named = self._registry(
            select(tables.registries).where(tables.registries.c.host == host.removesuffix(":443"))
        )
        return named if named is not None and named.url.startswith("https://") else None

    def known_tag(self, project_id: str, tag: str) -> KnownTag | None:
        """What is known of one tag."""
        table = tables.tags
        return self._first(
            KnownTag, select(table).where(table.c.project_id == project_id, table.c.tag == tag)
        )

    def known_tags(
        self, project_id: str, after: str = "", limit: int | None = None
    ) -> list[KnownTag]:
        """Known tags in order of their text, from the first beyond `after`."""
        table = tables.tags
        query = (
            select(table)
            .where(table.c.project_id == project_id, table.c.tag > after)
            .order_by(table.c.tag)
        )
        return self._all(KnownTag, query.limit(limit))

    def deploy(self, deploy_id: str) -> Deploy:
        """The deploy of that id."""
        return self._one(Deploy, tables.deploys, deploy_id, "deploy")

    def deploy_config(self, deploy_id: str) -> RunConfig | None:
        """With what a deploy started, or is to start, its containers; None before that is known."""
        table = tables.deploy_configs
        sealed = self._connection.scalar(
            select(table.c.config).where(table.c.deploy_id == deploy_id)
        )
        return None if sealed is None else self._rows.config(sealed, deploy_id)

    def held_pushes(self, stage_id: str) -> list[HeldPush]:
        """What came while the stage was held, oldest first."""
        table = tables.offers
        return self._all(
            HeldPush,
            select(table)
            .where(table.c.stage_id == stage_id)
            .order_by(table.c.seen_at, table.c.tag),
        )

    def taken_back(self, stage_id: str) -> list[TakenBack]:
        """What went live in the stage and was taken back, the latest first."""
        table = tables.taken_back
        query = (
            select(table)
            .where(table.c.stage_id == stage_id)
            .order_by(table.c.at.desc(), table.c.digest)
        )
        return self._all(TakenBack, query)

    def open_deploys(self, stage_id: str) -> list[Deploy]:
        """The queued and running deploys of a stage, oldest first."""
        return self._open_deploys(tables.deploys.c.stage_id == stage_id)

    def all_open_deploys(self) -> list[Deploy]:
        """The queued and running deploys of all stages, oldest first."""
        return self._open_deploys()

    def running_deploys(self) -> list[Deploy]:
        """The running deploys of all stages, oldest first, without those that wait."""
        return sorted(
            self._all(Deploy, select(tables.deploys).where(tables.RUNNING(tables.deploys))),
            key=lambda one: one.id,
        )

    def claimable_deploys(
        self, holder: str, now: datetime, mine: Collection[str], limit: int
    ) -> list[Deploy]:
        """Those that `holder`, at work on `mine`, may begin or go on with, at most one for each stage.

        First running ones on which nobody works, then the oldest of each stage where none is running; `limit` in all.
        """
        abandoned = self._all(Deploy, claims.abandoned(holder, now, mine))
        found = sorted(abandoned, key=lambda deploy: deploy.id)[:limit]
        return found + self._all(Deploy, claims.next_queued(limit - len(found)))

    def disturbed_deploys(self, holder: str, mine: Collection[str]) -> list[Deploy]:
        """Of the deploys `mine`, those that are to be cancelled or that another than `holder` has claimed."""
        return self._all(Deploy, claims.disturbed(mine, holder)) if mine else []

    def deploys(
        self,
        *,
        project_id: str | None = None,
        stage_id: str | None = None,
        statuses: Collection[DeployStatus] = (),
        before: str = "",
        limit: int | None = None,
    ) -> list[Deploy]:
        """Deploys, newest first, from the first older than the id `before`."""
        table = tables.deploys
        query = _newest_first(table, project_id, stage_id, before, limit)
        return self._all(Deploy, query.where(table.c.status.in_(statuses)) if statuses else query)

    def instance(self, instance_id: str) -> Instance:
        """The instance of that id."""
        return self._one(Instance, tables.instances, instance_id, "instance")

    def instances(
        self,
        *,
        project_id: str | None = None,
        stage_id: str | None = None,
        states: Collection[InstanceState] = (),
        before: str = "",
        limit: int | None = None,
    ) -> list[Instance]:
        """Instances, newest first, from the first older than the id `before`."""
        query = _newest_first(tables.instances, project_id, stage_id, before, limit)
        if not states:
            return self._all(Instance, query)
        # One question for each state: asked for several at once in an order, databases walk through all there ever were.
        found = [
            one
            for state in states
            for one in self._all(Instance, query.where(tables.instances.c.state == state))
        ]
        return sorted(found, key=lambda one: one.id, reverse=True)[:limit]

    def recent_instances(
        self, stage_id: str, states: Collection[InstanceState], limit: int
    ) -> list[Instance]:
        """Of the stage's instances in one of the final `states`, the `limit` that ended last, the latest first."""
        table = tables.instances
        of_stage = select(table).where(
            table.c.stage_id == stage_id, table.c.stopped_at.is_not(None)
        )
        latest = of_stage.order_by(table.c.stopped_at.desc()).limit(limit)
        found = [
            one
            for state in states
            for one in self._all(Instance, latest.where(table.c.state == state))
        ]
        return sorted(
            found, key=lambda one: (one.stopped_at or one.started_at, one.id), reverse=True
        )[:limit]

    def side_by_side(self) -> list[Instance]:
        """The live instances of all stages that may have several, newest first: each has a host of its own."""
        several = select(tables.stages.c.id).where(tables.stages.c.max_instances > 1)
        live = select(tables.instances).where(tables.instances.c.state == InstanceState.LIVE)
        found = self._all(Instance, live.where(tables.instances.c.stage_id.in_(several)))
        return sorted(found, key=lambda one: one.id, reverse=True)

    def instance_of(self, deploy_id: str) -> Instance | None:
        """The instance that a deploy has made, whatever became of it."""
        table = tables.instances
        return self._first(
            Instance,
            select(table).where(table.c.deploy_id == deploy_id).order_by(table.c.id.desc()),
        )

    def unwatched_instances(self) -> list[Instance]:
        """The live instances that have not yet been watched for as long as their stages ask."""
        table = tables.instances
        return self._all(
            Instance,
            select(table).where(table.c.state == InstanceState.LIVE, not_(table.c.watched)),
        )

    def previous_instance(
        self, stage_id: str, without: Collection[Version] = ()
    ) -> Instance | None:
        """The newest draining instance of the stage, else the newest stopped one, of none of the versions `without`."""
        table = tables.instances
        others = [
            not_(and_(table.c.digest == digest, table.c.fingerprint == mark))
            for digest, mark in without
        ]
        for state in (InstanceState.DRAINING, InstanceState.STOPPED):
            query = select(table).where(
                table.c.stage_id == stage_id, table.c.state == state, *others
            )
            if found := self._first(Instance, query.order_by(table.c.id.desc())):
                return found
        return None

    def hook(self, hook_id: str) -> ProjectWebhook:
        """The hook of that id, its signature in the clear."""
        found = self._hooks_of(select(tables.hooks).where(tables.hooks.c.id == hook_id))
        return found[0] if found else _missing("webhook", hook_id)

    def hooks(self, project_id: str | None = None) -> list[ProjectWebhook]:
        """The hooks of a project, or all, in order of name."""
        query = select(tables.hooks).order_by(tables.hooks.c.name, tables.hooks.c.id)
        return self._hooks_of(
            query if project_id is None else query.where(tables.hooks.c.project_id == project_id)
        )

    def webhook_signature(self) -> Signature | None:
        """What calls of the global URL must be signed with, None for nothing."""
        sealed = self.setting(SIGNATURE_SETTING)
        return self._rows.signature(sealed) if isinstance(sealed, str) else None

    def delivery(self, delivery_id: str) -> Delivery:
        """The delivery of that id."""
        return self._one(Delivery, tables.deliveries, delivery_id, "delivery")

    def has_more_deliveries(self, than: int) -> bool:
        """Whether more than so many deliveries are kept."""
        query = (
            select(tables.deliveries.c.id)
            .order_by(tables.deliveries.c.id.desc())
            .offset(than)
            .limit(1)
        )
        return self._connection.scalar(query) is not None

    def deliveries(self, before: str = "", limit: int | None = None) -> list[DeliverySummary]:
        """Deliveries without what was sent, newest first, from the first older than the id `before`."""
        query = _newest_first(tables.deliveries, None, None, before, limit)
        return self._all(DeliverySummary, query.with_only_columns(*_SUMMARY))

    def poll_state(self, project_id: str) -> PollState:
        """What the polls of a project left behind; that of a project never polled where there is nothing."""
        return self.poll_states([project_id])[project_id]

    def poll_states(self, project_ids: Collection[str]) -> dict[str, PollState]:
        """The same of several projects, by project id."""
        found = self._all(
            PollState, select(tables.polls).where(tables.polls.c.project_id.in_(project_ids))
        )
        return {project_id: PollState(project_id=project_id) for project_id in project_ids} | {
            state.project_id: state for state in found
        }

    def unpolled_projects(self, limit: int) -> list[str]:
        """The ids of projects of which a webhook has named a tag and that no poll has come to, the first `limit` made.

        Those that were passed over, for their registry was failing, bear its error and are not among them.
        """
        projects, polls, tags = tables.projects.c, tables.polls.c, tables.tags.c
        polled = exists().where(
            polls.project_id == projects.id,
            or_(polls.last_at.is_not(None), polls.error.is_not(None)),
        )
        heard_of = exists().where(tags.project_id == projects.id, tags.source == Source.WEBHOOK)
        query = select(projects.id).where(~polled, heard_of).order_by(projects.id).limit(limit)
        return list(self._connection.scalars(query))

    def registry_backoff(self, host: str) -> RegistryBackoff:
        """How a registry host has been failing."""
        query = select(tables.registry_backoffs).where(tables.registry_backoffs.c.host == host)
        return self._first(RegistryBackoff, query) or RegistryBackoff(host=host)

    def failing_registries(self) -> list[RegistryBackoff]:
        """The registry hosts that failed when they were last asked, and from which a project has its image; in order."""
        backoffs = tables.registry_backoffs.c
        image = type_coerce(tables.projects.c.image, Text)
        begins = func.substr(image, 1, func.length(backoffs.host) + 1) == backoffs.host + "/"
        query = select(tables.registry_backoffs).where(
            backoffs.failures > 0, exists(select(tables.projects.c.id).where(begins))
        )
        return self._all(RegistryBackoff, query.order_by(backoffs.host))

    def vitals(self, instance_ids: Collection[str]) -> dict[str, Vitals]:
        """What the engine last said of those of the instances that it was asked about, by their ids."""
        found = self._all(
            Vitals, select(tables.vitals).where(tables.vitals.c.instance_id.in_(instance_ids))
        )
        return {vitals.instance_id: vitals for vitals in found}

    def _first_project(self, query: Select[Any]) -> Project | None:
        found = self._projects_of(query.limit(1))
        return found[0] if found else None

    def _projects_of(self, query: Select[Any]) -> list[Project]:
        return [self._rows.project(row) for row in self._rows_of(query)]

    def _stages_of(self, query: Select[Any]) -> list[Stage]:
        return [self._rows.stage(row) for row in self._rows_of(query)]

    def _hooks_of(self, query: Select[Any]) -> list[ProjectWebhook]:
        return [self._rows.hook(row) for row in self._rows_of(query)]

    def _registry(self, query: Select[Any]) -> Registry | None:
        return next((self._rows.registry(row) for row in self._rows_of(query)), None)

    def _open_deploys(self, *conditions: ColumnElement[bool]) -> list[Deploy]:
        # Sorted here: asked for an order, SQLite walks through every deploy there ever was instead of the few open ones.
        found = self._all(Deploy, select(tables.deploys).where(tables.OPEN, *conditions))
        return sorted(found, key=lambda deploy: deploy.id)

    def _one(self, kind: type[V], table: Table, key: str, noun: str) -> V:
        return self._first(kind, select(table).where(table.c.id == key)) or _missing(noun, key)

    def _first(self, kind: type[V], query: Select[Any]) -> V | None:
        return next(iter(self._all(kind, query.limit(1))), None)

    def _all(self, kind: type[V], query: Select[Any]) -> list[V]:
        return [from_row(kind, row) for row in self._rows_of(query)]

    def _rows_of(self, query: Select[Any]) -> Iterator[dict[str, Any]]:
        # One at a time: there may be thousands, and the values made of them are enough to hold.
        return (dict(row._mapping) for row in self._connection.execute(query))  # noqa: SLF001 - documented, despite its name


def _newest_first(
    table: Table, project_id: str | None, stage_id: str | None, before: str, limit: int | None
) -> Select[Any]:
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if project_id is not None:
        query = query.where(table.c.project_id == project_id)
    if stage_id is not None:
        query = query.where(table.c.stage_id == stage_id)
    return query.where(table.c.id < before) if before else query


def _missing(noun: str, key: str) -> Any:  # noqa: ANN401 - it never returns
    raise NotFoundError(f"there is no {noun} {key[:80]!r}")
