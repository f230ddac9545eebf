"""Reads that pages are made of: one statement each, by an index."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import literal, select, tuple_

from tagboat.core.catalog import KnownTag
from tagboat.core.delivery import Named, PastPush
from tagboat.core.deploy import Deploy, Instance
from tagboat.core.health import Vitals
from tagboat.core.image import Digest, ImageName
from tagboat.core.page_port import ProjectImage, StageFailure, TagPlace, WaitingPushes
from tagboat.core.push import Outcome
from tagboat.store import tables
from tagboat.store.deploys import DeployReads
from tagboat.store.page_queries import (
    FAILURES,
    NEWEST_RELEASE,
    PULLED,
    TROUBLED,
    WAITING_PUSHES,
)
from tagboat.store.statements import newest_first, where_among

_deploys, _instances, _tags = tables.deploys_table, tables.instances_table, tables.tags_table


class PageReads(DeployReads):
    """Implements `PageReader`."""

    def project_images(self) -> list[ProjectImage]:
        """Return all projects with their images, in order of name."""
        table = tables.projects_table
        query = select(table.c.name, table.c.image, table.c.registry_id).order_by(table.c.name)
        return self._session.all(ProjectImage, query)

    def deploys_by_id(self, deploy_ids: Collection[str]) -> dict[str, Deploy]:
        """Return those of the deploys that exist, by their ids."""
        query = where_among(_deploys.c.id, self._session.dialect)
        found = self._deploys_of(query, {"keys": list(deploy_ids)})
        return {deploy.id: deploy for deploy in found}

    def instances_that_lived(
        self, stage_id: str, before: str = "", limit: int | None = None
    ) -> list[Instance]:
        """Return the instances of a stage that are or were live, newest first."""
        query, values = newest_first(_instances, {"stage_id": stage_id}, before, limit)
        lived = query.where(_instances.c.live_at.is_not(None))
        return self._session.made(_instances, lived, self._rows.made_instance, values)

    def newest_release(self, stage_id: str) -> Deploy | None:
        """Return the newest deploy of a stage that began a release command, None without one."""
        return next(iter(self._deploys_of(NEWEST_RELEASE, {"stage_id": stage_id})), None)

    def pulled_among(self, digests: Collection[Digest]) -> set[tuple[ImageName, Digest]]:
        """Return the images of these digests that Tagboat has pulled and not removed."""
        rows = self._session.rows(PULLED, {"digests": list(digests)})
        return {(row["image"], row["digest"]) for row in rows}

    def tags_page(
        self,
        project_id: str,
        text: str = "",
        after: TagPlace | None = None,
        limit: int | None = None,
    ) -> list[KnownTag]:
        """Return the known tags that contain `text`, in any case, those first seen last first."""
        query = select(_tags).where(_tags.c.project_id == project_id)
        if text:
            query = query.where(_tags.c.tag.icontains(text, autoescape=True))
        if after is not None:
            seen, tag = after
            place = tuple_(literal(seen, _tags.c.first_seen.type), tag)
            query = query.where(tuple_(_tags.c.first_seen, _tags.c.tag) < place)
        order = (_tags.c.first_seen.desc(), _tags.c.tag.desc())
        return self._session.all(KnownTag, query.order_by(*order).limit(limit))

    def tag_names(self, project_id: str, limit: int) -> list[tuple[str, datetime]]:
        """Return the names of the `limit` known tags that were first seen last, with that time."""
        query = (
            select(_tags.c.tag, _tags.c.first_seen)
            .where(_tags.c.project_id == project_id)
            .order_by(_tags.c.first_seen.desc(), _tags.c.tag.desc())
        )
        # Thousands: as plain tuples they take a third of the time.
        return [(row.tag, row.first_seen) for row in self._session.execute(query.limit(limit))]

    def last_pushes(self, project_id: str, limit: int) -> list[PastPush]:
        """Return the last pushes of a project's image by webhook that went to a stage or to none.

        Newest first. Refused ones are left out.
        """
        pushes, calls = tables.delivery_pushes_table, tables.deliveries_table
        query = (
            select(pushes.c.tag, pushes.c.stage_id, pushes.c.stage_name, calls.c.received_at)
            .join(calls, calls.c.id == pushes.c.delivery_id)
            .where(pushes.c.project_id == project_id, pushes.c.outcome != Outcome.REFUSED)
            .order_by(pushes.c.delivery_id.desc(), pushes.c.position.desc())
            .limit(limit)
        )
        return [
            PastPush(
                row["tag"],
                Named(row["stage_id"], row["stage_name"]) if row["stage_id"] else None,
                row["received_at"],
            )
            for row in self._session.rows(query)
        ]

    def failures(self, since: datetime, limit: int) -> list[StageFailure]:
        """Return the last failures of stages since then after which no deploy succeeded.

        The latest first. Those of stages that somebody has stopped since then are left out.
        """
        rows = self._session.rows(FAILURES, {"since": since, "most": limit})
        return [StageFailure(row["id"], row["project_id"], row["stage_id"]) for row in rows]

    def waiting_pushes(self, limit: int) -> list[WaitingPushes]:
        """Return how many pushes wait in each stage, with the newest; the latest stage first."""
        rows = self._session.rows(WAITING_PUSHES, {"most": limit})
        return [WaitingPushes(**row) for row in rows]

    def troubled_instances(self, limit: int) -> list[tuple[Instance, Vitals]]:
        """Return the live instances that need a person, with what is wrong, newest first."""
        troubled = self._session.all(Vitals, TROUBLED, {"most": limit})
        found = {one.instance_id: one for one in troubled}
        if not found:
            return []
        query = where_among(_instances.c.id, self._session.dialect)
        values = {"keys": list(found)}
        instances = self._session.made(_instances, query, self._rows.made_instance, values)
        instances.sort(key=lambda one: one.id, reverse=True)
        return [(one, found[one.id]) for one in instances]
