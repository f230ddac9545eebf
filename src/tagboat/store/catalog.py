"""Projects, stages with their hosts, registries, and known tags."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, select

from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.events import project_change, registry_change, stage_change
from tagboat.core.hosts import HostClaim, claims_of
from tagboat.core.image import ImageName
from tagboat.core.naming import slug
from tagboat.core.store_port import Topic
from tagboat.core.values import replace
from tagboat.store import tables
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import TAGS, Values, WriteSession, missing
from tagboat.store.statements import where, where_among

_projects, _stages, _registries = (
    tables.projects_table,
    tables.stages_table,
    tables.registries_table,
)
_CLAIM = [tables.hosts_table.c[name] for name in HostClaim.__struct_fields__]
_REGISTRIES_BY_NAME = (
    select(_registries).where(_registries.c.name > bindparam("after")).order_by(_registries.c.name)
)
_PROJECT_COUNT = select(func.count()).select_from(_projects)


class CatalogReads(ReadPart):
    """Implements `CatalogReader`."""

    def project(self, project_id: str) -> Project:
        """Return the project of that id."""
        return self._first_project(where(_projects.c.id), {"id": project_id}) or missing(
            "project", project_id
        )

    def project_by_image(self, image: ImageName) -> Project | None:
        """Return the project that deploys `image`."""
        return self._first_project(where(_projects.c.image), {"image": image})

    def projects_by_image(self, images: Collection[ImageName]) -> dict[ImageName, Project]:
        """Return the projects that deploy any of the images."""
        query = select(tables.projects_table).where(tables.projects_table.c.image.in_(images))
        return {project.image: project for project in self._projects_of(query)}

    def names_taken(self, names: Collection[str]) -> set[str]:
        """Return those of the names that projects have."""
        column = tables.projects_table.c.name
        return set(self._session.scalars(select(column).where(column.in_(names))))

    def project_by_name(self, name: str) -> Project | None:
        """Return the project of that name."""
        return self._first_project(where(_projects.c.name), {"name": name})

    def projects_by_slug(self, label: str) -> list[Project]:
        """Return the projects whose names become this label, in no order."""
        table = tables.projects_table
        found = self._projects_of(select(table).where(table.c.slug.in_([label, ""])))
        # Servers of before leave the column empty: few rows, while they still run.
        return [project for project in found if slug(project.name) == label]

    def projects(self, after: str = "", limit: int | None = None) -> list[Project]:
        """Return projects in order of name, from the first name beyond `after`."""
        table = tables.projects_table
        return self._projects_of(
            select(table).where(table.c.name > after).order_by(table.c.name).limit(limit)
        )

    def count_projects(self) -> int:
        """Return how many projects there are."""
        return self._session.scalar(_PROJECT_COUNT) or 0

    def projects_by_id(self, project_ids: Collection[str]) -> dict[str, Project]:
        """Return those of the projects that exist, by their ids."""
        query = where_among(_projects.c.id, self._session.dialect)
        found = self._projects_of(query, {"keys": list(project_ids)})
        return {project.id: project for project in found}

    def stage(self, stage_id: str) -> Stage:
        """Return the stage of that id."""
        found = self._stages_of(where(_stages.c.id), {"id": stage_id})
        return found[0] if found else missing("stage", stage_id)

    def stages(self, project_id: str) -> list[Stage]:
        """Return the stages of a project in the order in which they are tried."""
        return self.stages_by_project([project_id])[project_id]

    def stages_by_project(self, project_ids: Collection[str]) -> dict[str, list[Stage]]:
        """Return the stages of several projects by project id, in the order of being tried."""
        found: dict[str, list[Stage]] = {project_id: [] for project_id in project_ids}
        query = where_among(_stages.c.project_id, self._session.dialect)
        for stage in self._stages_of(query, {"keys": list(project_ids)}):
            found[stage.project_id].append(stage)
        for stages in found.values():
            # Sorted here and not there: databases disagree on the order of text.
            stages.sort(key=lambda stage: (stage.position, stage.name))
        return found

    def stages_with_ttl(self) -> list[Stage]:
        """Return the stages whose instances live for a limited number of hours."""
        return self._stages_of(
            select(tables.stages_table).where(tables.stages_table.c.ttl_h.is_not(None))
        )

    def stages_without_hosts(self) -> list[Stage]:
        """Return the stages that older servers have written, whose hosts are not on record."""
        # Every stage has at least the host of its name.
        return self._stages_of(
            select(tables.stages_table).where(
                tables.stages_table.c.id.not_in(select(tables.hosts_table.c.stage_id))
            )
        )

    def host_claims(self, hosts: Collection[str]) -> list[HostClaim]:
        """Return the claims of stages to any of `hosts`, in no order."""
        return self._session.all(
            HostClaim, select(*_CLAIM).where(tables.hosts_table.c.host.in_(hosts))
        )

    def registry(self, registry_id: str) -> Registry:
        """Return the registry of that id, its password in the clear."""
        return self._registry(where(_registries.c.id), {"id": registry_id}) or missing(
            "registry", registry_id
        )

    def registries(self, after: str = "", limit: int | None = None) -> list[Registry]:
        """Return registries in order of name, from the first name beyond `after`."""
        query = _REGISTRIES_BY_NAME if limit is None else _REGISTRIES_BY_NAME.limit(limit)
        return [self._rows.registry(row) for row in self._session.rows(query, {"after": after})]

    def registry_of(self, project: Project) -> Registry | None:
        """Return the registry that the project names, else that of its image's host, else None."""
        if project.registry_id is not None:
            return self.registry(project.registry_id)
        return self.registry_for_host(project.image.host)

    def registry_for_host(self, host: str) -> Registry | None:
        """Return the registry whose images begin with `host`, None where there is none.

        Where `host` ends in the port of TLS, a registry without a port is found too.
        """
        by_host = where(_registries.c.host)
        found = self._registry(by_host, {"host": host})
        if found is not None or not host.endswith(":443"):
            return found
        named = self._registry(by_host, {"host": host.removesuffix(":443")})
        return named if named is not None and named.url.startswith("https://") else None

    def known_tag(self, project_id: str, tag: str) -> KnownTag | None:
        """Return what is known of one tag, None if it is not known."""
        query = where(tables.tags_table.c.project_id, tables.tags_table.c.tag)
        return self._session.first(KnownTag, query, {"project_id": project_id, "tag": tag})

    def known_tags(
        self, project_id: str, after: str = "", limit: int | None = None, text: str = ""
    ) -> list[KnownTag]:
        """Return known tags in order of their text, from the first beyond `after`.

        With `text` only those that contain it, in any case.
        """
        table = tables.tags_table
        query = select(table).where(table.c.project_id == project_id, table.c.tag > after)
        if text:
            query = query.where(table.c.tag.icontains(text, autoescape=True))
        return self._session.all(KnownTag, query.order_by(table.c.tag).limit(limit))

    def _first_project(self, query: Select[Any], values: Values) -> Project | None:
        found = self._projects_of(query, values)
        return found[0] if found else None

    def _projects_of(self, query: Select[Any], values: Values = None) -> list[Project]:
        return self._session.made(_projects, query, self._rows.made_project, values)

    def _stages_of(self, query: Select[Any], values: Values = None) -> list[Stage]:
        return self._session.made(_stages, query, self._rows.made_stage, values)

    def _registry(self, query: Select[Any], values: Values) -> Registry | None:
        return next((self._rows.registry(row) for row in self._session.rows(query, values)), None)


class CatalogWrites(CatalogReads):
    """Implements `CatalogWriter`. Reads of the webhook path are remembered."""

    _session: WriteSession

    def project_by_image(self, image: ImageName) -> Project | None:
        """Return the project that deploys `image`."""
        projects = self._session.memory.projects
        project = projects.get(image) or super().project_by_image(image)
        if project is not None:
            projects[image] = project
        return project

    def projects_by_image(self, images: Collection[ImageName]) -> dict[ImageName, Project]:
        """Return the projects that deploy any of the images."""
        projects = self._session.memory.projects
        known = {image: projects[image] for image in images if image in projects}
        if rest := [image for image in images if image not in known]:
            found = super().projects_by_image(rest)
            projects.update(found)
            known |= found
        return known

    def stages(self, project_id: str) -> list[Stage]:
        """Return the stages of a project in the order in which they are tried."""
        stages = self._session.memory.stages
        if project_id not in stages:
            stages[project_id] = super().stages(project_id)
        return stages[project_id]

    def registry_for_host(self, host: str) -> Registry | None:
        """Return the registry whose images begin with `host`, None where there is none."""
        registries, unknown = self._session.memory.registries, self._session.unknown_hosts
        registry = registries.get(host)
        if registry is None and host not in unknown:
            registry = super().registry_for_host(host)
            if registry is None:
                unknown.add(host)
            else:
                registries[host] = registry
        return registry

    def add_project(self, project: Project) -> None:
        """Add a project."""
        self._session.insert(tables.projects_table, self._rows.of_project(project))
        self._session.memory.projects.pop(project.image, None)
        self._session.record(project_change(project))

    def put_project(self, project: Project) -> None:
        """Replace a project."""
        before = self.project(project.id)
        self._session.replace(tables.projects_table, project.id, self._rows.of_project(project))
        if before.name != project.name:
            for stage in self.stages(project.id):
                self._put_hosts(project, stage, claims_of(before, stage))
        # All of them: it may be remembered by the image that it had.
        self._session.memory.projects.clear()
        self._session.announce(Topic.ROUTES)
        self._session.record(project_change(project))

    def delete_project(self, project_id: str) -> None:
        """Delete a project with all that belongs to it, its webhook URLs among that."""
        gone = self._first_project(where(_projects.c.id), {"id": project_id})
        stages = super().stages(project_id)
        self._session.delete(tables.projects_table, project_id)
        # The database has deleted what belongs to it, and does not say what that was.
        self._session.memory.clear()
        self._session.announce(Topic.ROUTES)
        self._session.announce(Topic.SETTINGS)
        for stage in stages:
            self._session.record(stage_change(stage, deleted=True))
        if gone is not None:
            self._session.record(project_change(gone, deleted=True))

    def add_stage(self, stage: Stage) -> None:
        """Add a stage."""
        self._session.insert(tables.stages_table, self._rows.of_stage(stage))
        self._put_hosts(self.project(stage.project_id), stage, ())
        self._session.memory.stages.pop(stage.project_id, None)
        self._session.announce(Topic.ROUTES)
        self._session.record(stage_change(stage))

    def put_stage(self, stage: Stage) -> None:
        """Replace a stage."""
        before, project = self.stage(stage.id), self.project(stage.project_id)
        self._session.replace(tables.stages_table, stage.id, self._rows.of_stage(stage))
        self._put_hosts(project, stage, claims_of(project, before))
        self._session.memory.stages.pop(stage.project_id, None)
        self._session.announce(Topic.ROUTES)
        self._session.record(stage_change(stage))

    def delete_stage(self, stage_id: str) -> None:
        """Delete a stage with its deploys and instances."""
        gone = self._stages_of(
            select(tables.stages_table).where(tables.stages_table.c.id == stage_id)
        )
        self._session.delete(tables.stages_table, stage_id)
        self._session.memory.clear()
        self._session.announce(Topic.ROUTES)
        for stage in gone:
            self._session.record(stage_change(stage, deleted=True))

    def put_missing_hosts(self) -> None:
        """Put on record the hosts of stages that older servers have written."""
        for stage in self.stages_without_hosts():
            project = self.project(stage.project_id)
            self._put_hosts(project, stage, claims_of(project, stage))

    def _put_hosts(self, project: Project, stage: Stage, before: Collection[HostClaim]) -> None:
        """Replace the hosts of a stage; `before` are those that it claimed until now.

        Raises ConflictError, by the database, where another stage has one that is claimed newly.
        """
        table = tables.hosts_table
        wanted = claims_of(project, stage)
        of_stage = select(*_CLAIM).where(table.c.stage_id == stage.id)
        recorded = self._session.all(HostClaim, of_stage)
        for claim in recorded:
            if claim not in wanted:
                row = (table.c.host == claim.host, table.c.is_domain == claim.is_domain)
                self._session.execute(delete(table).where(table.c.stage_id == stage.id, *row))
        for claim in wanted:
            if claim not in recorded:
                # Two stages may have claimed one host since before there was a rule against it.
                shared = claim in before and any(
                    other.is_domain == claim.is_domain for other in self.host_claims([claim.host])
                )
                self._session.insert(table, to_row(claim) | {"shared": shared})

    def add_registry(self, registry: Registry) -> None:
        """Add a registry, its password sealed."""
        self._session.insert(tables.registries_table, self._rows.of_registry(registry))
        self._forget_registries()
        self._session.record(registry_change(registry))

    def put_registry(self, registry: Registry) -> None:
        """Replace a registry, its password sealed."""
        self._session.replace(
            tables.registries_table, registry.id, self._rows.of_registry(registry)
        )
        self._forget_registries()
        self._session.record(registry_change(registry))

    def delete_registry(self, registry_id: str) -> None:
        """Delete a registry."""
        gone = self._registry(where(_registries.c.id), {"id": registry_id})
        self._session.delete(tables.registries_table, registry_id)
        self._session.memory.clear()
        if gone is not None:
            self._session.record(registry_change(gone, deleted=True))

    def _forget_registries(self) -> None:
        self._session.memory.registries.clear()
        self._session.unknown_hosts.clear()

    def record_tag(self, tag: KnownTag) -> None:
        """Record a tag. Of one known already, only digest and verdict are taken, unless None."""
        key = (tag.project_id, tag.tag)
        old = self._session.waiting(TAGS, key)
        # One that lacks nothing of the other replaces it as it is: they are of one moment, and
        # this is the webhook path.
        if old is not None and (
            (old.digest and not tag.digest) or (old.verdict and not tag.verdict)
        ):
            tag = replace(old, digest=tag.digest or old.digest, verdict=tag.verdict or old.verdict)
        self._session.gather(TAGS, key, tag)

    def forget_tags(self, project_id: str) -> None:
        """Forget the tags and polls of a project, as if its image had never been seen."""
        for table in (tables.tags_table, tables.polls_table):
            self._session.execute(delete(table).where(table.c.project_id == project_id))
