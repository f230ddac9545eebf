"""A unit of work: the `Tx` of the ports.

The webhook path shares one transaction among many calls, and a round of polls writes of many projects: what they write is
gathered here and sent to the database in few statements at the end. Everything else is written at once. Reads see what was
gathered.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, tuple_, update

from tagboat.core.catalog import HeldPush, KnownTag, Project, Registry, Stage
from tagboat.core.delivery import Delivery, DeliverySummary
from tagboat.core.deploy import Deploy, DeployStatus, Instance, TakenBack
from tagboat.core.health import Vitals
from tagboat.core.hosts import HostClaim, claims_of
from tagboat.core.idempotency import RememberedAnswer
from tagboat.core.image import Digest, ImageName
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.ports import Topic
from tagboat.core.project_webhook import ProjectWebhook, Signature
from tagboat.core.run import RunConfig
from tagboat.store import claims, tables
from tagboat.store.bulk import BulkInsert, insert_into
from tagboat.store.kept import KeptWriter
from tagboat.store.memory import Memory
from tagboat.store.reader import SqlReader
from tagboat.store.rows import SIGNATURE_SETTING, SealedRows, to_row

_update_deploy = (
    update(tables.deploys)
    .where(tables.deploys.c.id == bindparam("key"))
    .values(
        {
            column.name: bindparam(column.name)
            for column in tables.deploys.c
            if not column.primary_key
        }
    )
)

_KEEP_NEWS_OF_TAG = (
    "ON CONFLICT (project_id, tag) DO UPDATE SET digest = coalesce(excluded.digest, tags.digest), "
    "verdict = coalesce(excluded.verdict, tags.verdict) WHERE excluded.digest IS NOT NULL OR excluded.verdict IS NOT NULL"
)
_KEEP_NEW_OFFER = (
    "ON CONFLICT (stage_id, tag) DO UPDATE SET digest = excluded.digest, seen_at = excluded.seen_at"
)
_KEEP_NEW_POLL = (
    "ON CONFLICT (project_id) DO UPDATE "
    "SET first_done = excluded.first_done, last_at = excluded.last_at, error = excluded.error"
)


class UnitOfWork(SqlReader, KeptWriter):
    """Reads and writes inside one write transaction. `flush` sends what was gathered; nothing is committed here."""

    def __init__(self, connection: Connection, rows: SealedRows, memory: Memory) -> None:
        super().__init__(connection, rows)
        self.announced: set[Topic] = set()
        self._memory = memory
        self._projects = memory.projects
        self._stages = memory.stages
        self._registries = memory.registries
        self._open = memory.open_deploys
        self._taken_back = memory.taken_back
        self._new_deploys: dict[str, Deploy] = {}
        self._changed_deploys: dict[str, Deploy] = {}
        self._deliveries: list[Delivery] = []
        self._tags: dict[tuple[str, str], KnownTag] = {}
        self._offers: dict[tuple[str, str], HeldPush] = {}
        self._polls: dict[str, PollState] = {}

    def flush(self) -> None:
        """Send everything gathered to the database."""
        if self._new_deploys:
            self._bulk(tables.deploys).send(self._connection, list(self._new_deploys.values()))
        if self._changed_deploys:
            rows = [
                {**to_row(deploy), "key": deploy.id} for deploy in self._changed_deploys.values()
            ]
            self._connection.execute(_update_deploy, rows)
        if self._deliveries:
            self._bulk(tables.deliveries).send(self._connection, self._deliveries)
        self._send_tags()
        if self._offers:
            self._bulk(tables.offers, _KEEP_NEW_OFFER).send(
                self._connection, list(self._offers.values())
            )
        if self._polls:
            self._bulk(tables.polls, _KEEP_NEW_POLL).send(
                self._connection, list(self._polls.values())
            )
        self._offers.clear()
        self._polls.clear()
        self._new_deploys.clear()
        self._changed_deploys.clear()
        self._deliveries.clear()
        self._tags.clear()

    # Reads of the webhook path, remembered.

    def project_by_image(self, image: ImageName) -> Project | None:
        """The project that deploys `image`."""
        project = self._projects.get(image)
        if project is None:
            project = super().project_by_image(image)
            if project is not None:
                self._projects[image] = project
        return project

    def projects_by_image(self, images: Collection[ImageName]) -> dict[ImageName, Project]:
        """The projects that deploy those of the images that any deploys."""
        known = {image: self._projects[image] for image in images if image in self._projects}
        if rest := [image for image in images if image not in known]:
            found = super().projects_by_image(rest)
            self._projects.update(found)
            known |= found
        return known

    def stages(self, project_id: str) -> list[Stage]:
        """The stages of a project in the order in which they are tried."""
        if project_id not in self._stages:
            self._stages[project_id] = super().stages(project_id)
        return self._stages[project_id]

    def registry_for_host(self, host: str) -> Registry | None:
        """The registry whose images begin with `host`."""
        registry = self._registries.get(host)
        if registry is None:
            registry = super().registry_for_host(host)
            if registry is not None:
                self._registries[host] = registry
        return registry

    def open_deploys(self, stage_id: str) -> list[Deploy]:
        """The queued and running deploys of a stage, oldest first."""
        if stage_id not in self._open:
            self.flush()
            self._open[stage_id] = {deploy.id: deploy for deploy in super().open_deploys(stage_id)}
        return list(self._open[stage_id].values())

    def taken_back(self, stage_id: str) -> list[TakenBack]:
        """What went live in the stage and was taken back, the latest first."""
        if stage_id not in self._taken_back:
            self._taken_back[stage_id] = super().taken_back(stage_id)
        return self._taken_back[stage_id]

    # Reads that must see what was gathered.

    def deploy(self, deploy_id: str) -> Deploy:
        """The deploy of that id."""
        gathered = self._new_deploys.get(deploy_id) or self._changed_deploys.get(deploy_id)
        return gathered or super().deploy(deploy_id)

    def all_open_deploys(self) -> list[Deploy]:
        """The queued and running deploys of all stages, oldest first."""
        self.flush()
        return super().all_open_deploys()

    def deploys(
        self,
        *,
        project_id: str | None = None,
        stage_id: str | None = None,
        statuses: Collection[DeployStatus] = (),
        before: str = "",
        limit: int | None = None,
    ) -> list[Deploy]:
        """Deploys, newest first."""
        self.flush()
        return super().deploys(
            project_id=project_id, stage_id=stage_id, statuses=statuses, before=before, limit=limit
        )

    def running_deploys(self) -> list[Deploy]:
        """The running deploys of all stages, oldest first."""
        self.flush()
        return super().running_deploys()

    def claimable_deploys(
        self, holder: str, now: datetime, mine: Collection[str], limit: int
    ) -> list[Deploy]:
        """Those that `holder`, at work on `mine`, may begin or go on with."""
        self.flush()
        return super().claimable_deploys(holder, now, mine, limit)

    def disturbed_deploys(self, holder: str, mine: Collection[str]) -> list[Deploy]:
        """Of the deploys `mine`, those that are to be cancelled or that another than `holder` has claimed."""
        self.flush()
        return super().disturbed_deploys(holder, mine)

    def renew_claims(self, holder: str, mine: Collection[str], until: datetime) -> None:
        """Let the claims that `holder` still has on the deploys `mine` last until then."""
        self.flush()
        self._connection.execute(claims.renewed(mine, holder, until))
        self._memory.forget_deploys(mine)

    def known_tag(self, project_id: str, tag: str) -> KnownTag | None:
        """What is known of one tag."""
        self._send_tags()
        return super().known_tag(project_id, tag)

    def known_tags(
        self, project_id: str, after: str = "", limit: int | None = None
    ) -> list[KnownTag]:
        """Known tags in order of their text."""
        self._send_tags()
        return super().known_tags(project_id, after, limit)

    def poll_states(self, project_ids: Collection[str]) -> dict[str, PollState]:
        """What the polls of projects left behind, by project id."""
        gathered = {
            project_id: self._polls[project_id]
            for project_id in project_ids
            if project_id in self._polls
        }
        return (
            super().poll_states(
                [project_id for project_id in project_ids if project_id not in gathered]
            )
            | gathered
        )

    def unpolled_projects(self, limit: int) -> list[str]:
        """The ids of projects of which a webhook has named a tag and that no poll has come to."""
        self.flush()
        return super().unpolled_projects(limit)

    def held_pushes(self, stage_id: str) -> list[HeldPush]:
        """What came while the stage was held, oldest first."""
        self.flush()
        return super().held_pushes(stage_id)

    # Gathered writes.

    def add_held_push(self, offer: HeldPush) -> None:
        """Keep a push for when its stage is released; a later one of the tag takes its place."""
        self._offers[offer.stage_id, offer.tag] = offer

    def record_tag(self, tag: KnownTag) -> None:
        """Make a tag known. Of one known already, only digest and verdict are taken, each unless it is None."""
        key = (tag.project_id, tag.tag)
        old = self._tags.get(key)
        # One that lacks nothing of the other takes its place as it is: they are of one moment, and this is the webhook path.
        if old is not None and (
            (old.digest and not tag.digest) or (old.verdict and not tag.verdict)
        ):
            tag = replace(old, digest=tag.digest or old.digest, verdict=tag.verdict or old.verdict)
        self._tags[key] = tag

    def add_deploy(self, deploy: Deploy) -> None:
        """Add a deploy."""
        self.open_deploys(deploy.stage_id)
        self._new_deploys[deploy.id] = deploy
        self._memory.note(deploy)

    def put_deploy(self, deploy: Deploy) -> None:
        """Replace a deploy."""
        gathering = self._new_deploys if deploy.id in self._new_deploys else self._changed_deploys
        gathering[deploy.id] = deploy
        self._memory.note(deploy)

    def put_poll_state(self, state: PollState) -> None:
        """Remember what a poll left behind."""
        self._polls[state.project_id] = state

    def add_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        self._deliveries.append(delivery)

    def announce(self, topic: Topic) -> None:
        """Tell those who listen to `topic`, once committed."""
        self.announced.add(topic)

    # Writes sent at once.

    def put_setting(self, name: str, value: object) -> None:
        """Set a setting to a JSON value; None unsets it. One that is a secret is sealed."""
        if value is None:
            self._connection.execute(delete(tables.settings).where(tables.settings.c.name == name))
        else:
            self._upsert(
                tables.settings, {"name": name, "value": self._rows.of_setting(name, value)}
            )

    def add_project(self, project: Project) -> None:
        """Add a project."""
        self._connection.execute(insert(tables.projects), self._rows.of_project(project))
        self._projects.pop(project.image, None)

    def put_project(self, project: Project) -> None:
        """Replace a project."""
        self._replace(tables.projects, project.id, self._rows.of_project(project))
        for stage in self.stages(project.id):
            self.put_hosts(project, stage)
        self.announce(Topic.ROUTES)
        self._projects.clear()

    def delete_project(self, project_id: str) -> None:
        """Delete a project with everything that hangs on it, the webhook URLs of its own among it."""
        self._delete(tables.projects, project_id)
        self.announce(Topic.ROUTES)
        self.announce(Topic.SETTINGS)

    def add_stage(self, stage: Stage) -> None:
        """Add a stage."""
        self._connection.execute(insert(tables.stages), self._rows.of_stage(stage))
        self.put_hosts(self.project(stage.project_id), stage)
        self.announce(Topic.ROUTES)
        self._stages.pop(stage.project_id, None)

    def put_stage(self, stage: Stage) -> None:
        """Replace a stage."""
        self._replace(tables.stages, stage.id, self._rows.of_stage(stage))
        self.put_hosts(self.project(stage.project_id), stage)
        self.announce(Topic.ROUTES)
        self._stages.pop(stage.project_id, None)

    def delete_stage(self, stage_id: str) -> None:
        """Delete a stage with its deploys and instances."""
        self._delete(tables.stages, stage_id)
        self.announce(Topic.ROUTES)

    def add_registry(self, registry: Registry) -> None:
        """Add a registry, its password sealed."""
        self._connection.execute(insert(tables.registries), [self._rows.of_registry(registry)])
        self._registries.clear()

    def put_registry(self, registry: Registry) -> None:
        """Replace a registry, its password sealed."""
        self._replace(tables.registries, registry.id, self._rows.of_registry(registry))
        self._registries.clear()

    def delete_registry(self, registry_id: str) -> None:
        """Delete a registry."""
        self._delete(tables.registries, registry_id)

    def put_deploy_config(self, deploy_id: str, config: RunConfig) -> None:
        """Keep with what a deploy starts its containers, sealed."""
        self.flush()
        self._upsert(
            tables.deploy_configs,
            {"deploy_id": deploy_id, "config": self._rows.of_config(config, deploy_id)},
        )

    def delivery(self, delivery_id: str) -> Delivery:
        """The delivery of that id."""
        self.flush()
        return super().delivery(delivery_id)

    def deliveries(self, before: str = "", limit: int | None = None) -> list[DeliverySummary]:
        """Deliveries without what was sent, newest first, from the first older than the id `before`."""
        self.flush()
        return super().deliveries(before, limit)

    def add_hook(self, hook: ProjectWebhook) -> None:
        """Add a hook, its signature sealed."""
        self._connection.execute(insert(tables.hooks), self._rows.of_hook(hook))
        self.announce(Topic.SETTINGS)

    def put_hook(self, hook: ProjectWebhook) -> None:
        """Replace a hook, its signature sealed."""
        self._replace(tables.hooks, hook.id, self._rows.of_hook(hook))
        self.announce(Topic.SETTINGS)

    def delete_hook(self, hook_id: str) -> None:
        """Delete a hook."""
        self._delete(tables.hooks, hook_id)
        self.announce(Topic.SETTINGS)

    def put_webhook_signature(self, signature: Signature | None) -> None:
        """Set, or with None take away, what calls of the global URL must be signed with."""
        if signature is None:
            self._connection.execute(
                delete(tables.settings).where(tables.settings.c.name == SIGNATURE_SETTING)
            )
        else:
            self.put_setting(SIGNATURE_SETTING, self._rows.of_signature(signature))
        self.announce(Topic.SETTINGS)

    def delete_held_pushes(self, stage_id: str) -> None:
        """Forget what came while the stage was held."""
        self.flush()
        self._connection.execute(delete(tables.offers).where(tables.offers.c.stage_id == stage_id))

    def put_taken_back(self, version: TakenBack) -> None:
        """Remember that a version was taken back in its stage."""
        self._upsert(tables.taken_back, to_row(version))
        self._taken_back.pop(version.stage_id, None)

    def delete_taken_back(self, stage_id: str, digest: Digest) -> None:
        """Forget that a digest was taken back in the stage."""
        table = tables.taken_back
        self._connection.execute(
            delete(table).where(table.c.stage_id == stage_id, table.c.digest == digest)
        )
        self._taken_back.pop(stage_id, None)

    def forget_tags(self, project_id: str) -> None:
        """Forget the tags and polls of a project, as if its image had never been seen."""
        self._send_tags()
        self._connection.execute(delete(tables.tags).where(tables.tags.c.project_id == project_id))
        self._connection.execute(
            delete(tables.polls).where(tables.polls.c.project_id == project_id)
        )

    def add_instance(self, instance: Instance) -> None:
        """Add an instance."""
        self.flush()
        self._insert(tables.instances, instance)

    def put_instance(self, instance: Instance) -> None:
        """Replace an instance."""
        self._replace(tables.instances, instance.id, to_row(instance))

    def put_vitals(self, vitals: Vitals) -> None:
        """Remember what the engine says of an instance."""
        self._upsert(tables.vitals, to_row(vitals))

    def put_registry_backoff(self, backoff: RegistryBackoff) -> None:
        """Remember how a registry host fails."""
        self._upsert(tables.registry_backoffs, to_row(backoff))

    def remember_answer(self, answer: RememberedAnswer) -> None:
        """Remember the answer to an idempotency key; one remembered already is a ConflictError."""
        self._insert(tables.idempotency_keys, answer)

    def prune_answers(self, before: datetime, at_most: int) -> int:
        """Forget up to `at_most` answers given before `before`; return how many went."""
        table = tables.idempotency_keys
        key = tuple_(table.c.key, table.c.route)
        old = select(table.c.key, table.c.route).where(table.c.at < before).limit(at_most)
        return self._connection.execute(delete(table).where(key.in_(old))).rowcount

    def acquire_lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Take or renew the lease `name` for `holder` unless somebody else holds it beyond `now`; whether that worked."""
        table = tables.leases
        statement = insert_into(table, self._connection.dialect.name).values(
            name=name, holder=holder, until=until
        )
        taken = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "until": until},
            where=(table.c.holder == holder) | (table.c.until <= now),
        ).returning(table.c.name)
        return self._connection.execute(taken).first() is not None

    def put_hosts(self, project: Project, stage: Stage) -> None:
        """Put on record which hosts the stage claims."""
        table = tables.hosts
        wanted = claims_of(project, stage)
        if set(self._all(HostClaim, select(table).where(table.c.stage_id == stage.id))) != set(
            wanted
        ):
            self._connection.execute(delete(table).where(table.c.stage_id == stage.id))
            self._connection.execute(insert(table), [to_row(claim) for claim in wanted])

    def _send_tags(self) -> None:
        if self._tags:
            self._bulk(tables.tags, _KEEP_NEWS_OF_TAG).send(
                self._connection, list(self._tags.values())
            )
            self._tags.clear()

    def _bulk(self, table: Table, clause: str = "") -> BulkInsert:
        return _bulk_insert(table, self._connection.dialect, clause)

    def _insert(self, table: Table, value: Any) -> None:  # noqa: ANN401 - any of the core's values
        self._connection.execute(insert(table), to_row(value))

    def _upsert(self, table: Table, row: dict[str, Any]) -> None:
        changed = {name: value for name, value in row.items() if not table.c[name].primary_key}
        statement = insert_into(table, self._connection.dialect.name).values(row)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
        )

    def _replace(self, table: Table, key: str, row: dict[str, Any]) -> None:
        self._connection.execute(update(table).where(table.c.id == key).values(row))

    def _delete(self, table: Table, key: str) -> None:
        self.flush()
        self._connection.execute(delete(table).where(table.c.id == key))
        self._memory.clear()


_bulk_insert = cache(BulkInsert)
