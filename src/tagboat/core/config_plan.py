"""The plan of an apply: what would change for a server to have what a file wants."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from msgspec import Struct

from tagboat.core.audit import FieldChange, changes_between
from tagboat.core.catalog import Project, Registry, RegistryKind, Stage
from tagboat.core.config import Config
from tagboat.core.config_file import FOLLOWED, SECRET_MAPS, STRING_MAPS, Configured, default_of
from tagboat.core.errors import FieldError
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.run import NO_OPTIONS, RunOptions
from tagboat.core.run_changes import merge_run
from tagboat.core.values import replace

PlanFields = Mapping[str, Any]
Planned = TypeVar("Planned", Registry, Project, Stage)

# It stands for the id and the time of what does not exist yet.
_NEW, _NO_TIME = "", datetime.min.replace(tzinfo=UTC)


class PlannedKind(StrEnum):
    """A kind of things that a file configures."""

    SETTINGS = "settings"
    REGISTRY = "registry"
    PROJECT = "project"
    STAGE = "stage"
    WEBHOOK = "webhook"


class PlannedAction(StrEnum):
    """The thing that is done with one of them."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class WantedProject:
    """A project as a file wants it. `webhooks` are names of webhook URLs."""

    fields: PlanFields
    stages: Mapping[str, PlanFields] = field(default_factory=dict)
    webhooks: Sequence[str] = ()


class WantedConfig(Struct, frozen=True):
    """The configuration that a file wants, by name; None where it says nothing.

    Fields have the core's names. A secret that is None stays as it is. Other fields that are not
    named have their defaults, except those of settings and `held`, which stay.
    """

    settings: PlanFields | None
    registries: Mapping[str, PlanFields] | None
    projects: Mapping[str, WantedProject] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """One thing that would be made, changed or deleted.

    `names` are its own name after that of its project, if it belongs to one. `target` is the id of
    what there is, None where it is new. `fields` are what an operation is given, and hold secrets;
    `changes` are for people, and hold none.
    """

    kind: PlannedKind
    action: PlannedAction
    names: tuple[str, ...] = ()
    target: str | None = None
    fields: PlanFields = field(default_factory=dict, repr=False)
    changes: tuple[FieldChange, ...] = ()

    @property
    def place(self) -> tuple[str, ...]:
        """The keys that lead to it in the file."""
        match self.kind:
            case PlannedKind.SETTINGS:
                return ("settings",)
            case PlannedKind.REGISTRY:
                return ("registries", *self.names)
            case PlannedKind.PROJECT:
                return ("projects", *self.names)
            case PlannedKind.STAGE:
                return ("projects", self.names[0], "stages", *self.names[1:])
        return ("projects", self.names[0], "webhooks")


def plan_config(now: Configured, wanted: WantedConfig, *, prune: bool) -> list[PlannedChange]:
    """Return the changes that make `now` what is `wanted`, in the order in which to make them.

    With `prune`, what the file does not name is deleted, in each section that the file has.
    Deletions of registries come last: projects that are deleted may name them. Raises FieldError
    where a secret is to stay that there is not.
    """
    planner = _Planner(now, prune)
    changes = [*_plan_settings(now.config, wanted.settings or {})]
    changes += planner.registries(wanted.registries)
    changes += planner.projects(wanted.projects)
    if planner.missing:
        raise FieldError(
            planner.missing[0],
            "the server has no value that could stay; give a reference such as env:NAME for each"
            f" of {', '.join(planner.missing)}",
        )
    order = {PlannedAction.CREATE: 0, PlannedAction.CHANGE: 0, PlannedAction.DELETE: 1}
    kinds = list(PlannedKind)

    def place(change: PlannedChange) -> tuple[int, int]:
        kind = kinds.index(change.kind)
        return order[change.action], -kind if change.action is PlannedAction.DELETE else kind

    return sorted(changes, key=place)


def _plan_settings(config: Config, wanted: PlanFields) -> Iterator[PlannedChange]:
    said: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in wanted.items()
    }
    if changes := changes_between(config, replace(config, **said)):
        names = {change.field for change in changes}
        yield PlannedChange(
            kind=PlannedKind.SETTINGS,
            action=PlannedAction.CHANGE,
            fields={name: value for name, value in wanted.items() if name in names},
            changes=changes,
        )


class _Planner:
    """Plans registries and projects, and notes the places of secrets that cannot stay."""

    def __init__(self, now: Configured, prune: bool) -> None:
        self._now = now
        self._prune = prune
        self.missing: list[str] = []

    def registries(self, wanted: Mapping[str, PlanFields] | None) -> Iterator[PlannedChange]:
        """Yield the changes of registries: known by name, else by the host of their images."""
        if wanted is None:
            return

        def is_same(registry: Registry, said: PlanFields) -> bool:
            return registry.host == replace(registry, url=said["url"]).host

        found = _matched(self._now.registries, wanted, is_same)
        for name, said in wanted.items():
            old = found.get(name)
            body = {**_defaults(Registry), "kind": RegistryKind.OCI, **said, "name": name}
            if said.get("password_command") and not said.get("password"):
                # It takes the place of a stored password, which the file need not name.
                body["password"] = None
            elif "password" in said and said["password"] is None:
                body.pop("password")
                if old is None or old.password is None:
                    self.missing.append(f"registries.{name}.password")
            elif "password" not in said and self._prune:
                body["password"] = None
            bare = Registry(id=_NEW, name=name, url=said["url"], kind=body["kind"])
            yield from _planned(
                PlannedKind.REGISTRY, (name,), old, replace(old or bare, **body), body
            )
        yield from self._deleted(PlannedKind.REGISTRY, (), self._now.registries, found)

    def projects(self, wanted: Mapping[str, WantedProject] | None) -> Iterator[PlannedChange]:
        """Yield the changes of projects with their parts: known by name, else by their image."""
        if wanted is None:
            return

        def is_same(project: Project, said: PlanFields) -> bool:
            return bool(project.image == said["image"])

        found = _matched(
            self._now.projects, {name: one.fields for name, one in wanted.items()}, is_same
        )
        for name, one in wanted.items():
            old = found.get(name)
            yield from self.project(name, old, one.fields)
            yield from self.stages(name, old, one.stages)
            yield from self.webhooks(name, old, one.webhooks)
        yield from self._deleted(PlannedKind.PROJECT, (), self._now.projects, found)

    def project(self, name: str, old: Project | None, said: PlanFields) -> Iterator[PlannedChange]:
        """Yield the change of a project itself."""
        ids = {registry.name: registry.id for registry in self._now.registries}
        body = {"registry_id": None, **self._run(("projects", name), old, said), "name": name}
        for followed in FOLLOWED:
            if followed in said:
                body[f"{followed}_set"] = True
            elif old is not None:
                body[f"{followed}_set"] = False
        # The name of one that is made by the same apply stands for its id.
        shown = body | {"registry_id": ids.get(body["registry_id"], body["registry_id"])}
        bare = Project(id=_NEW, name=name, image=said["image"], created_at=_NO_TIME)
        base = old or bare
        new = replace(base, **merge_run(shown, base.run, base.env))
        names = {one.id: one.name for one in self._now.registries}
        for change in _planned(PlannedKind.PROJECT, (name,), old, new, body):
            told = tuple(
                FieldChange(
                    one.field,
                    names.get(str(one.before), one.before),
                    names.get(str(one.after), one.after),
                )
                if one.field == "registry"
                else one
                for one in change.changes
            )
            yield replace(change, changes=told)

    def stages(
        self, project: str, owner: Project | None, wanted: Mapping[str, PlanFields]
    ) -> Iterator[PlannedChange]:
        """Yield the changes of the stages of a project, known by name."""
        stages = self._now.stages.get(owner.id, ()) if owner else ()
        found = {stage.name: stage for stage in stages if stage.name in wanted}
        for name, said in wanted.items():
            old = found.get(name)
            body = self._run(("projects", project, "stages", name), old, said)
            body = {**_defaults(Stage), **body, "name": name}
            # A hold is an order of a person or of a rollback: only a word about it changes it.
            if "held" not in said:
                body.pop("held")
            bare = Stage(
                id=_NEW, project_id=_NEW, name=name, pattern=said["pattern"], created_at=_NO_TIME
            )
            base = old or bare
            new = replace(base, **merge_run(body, base.run, base.env))
            yield from _planned(PlannedKind.STAGE, (project, name), old, new, body)
        yield from self._deleted(PlannedKind.STAGE, (project,), stages, found)

    def webhooks(
        self, project: str, owner: Project | None, wanted: Sequence[str]
    ) -> Iterator[PlannedChange]:
        """Yield the webhook URLs to make and to delete."""
        there = self._now.webhooks.get(owner.id, ()) if owner else ()
        known = {webhook.name: webhook for webhook in there}
        for name in dict.fromkeys(wanted):
            if name not in known:
                yield PlannedChange(
                    kind=PlannedKind.WEBHOOK, action=PlannedAction.CREATE, names=(project, name)
                )
        kept = {name: known[name] for name in wanted if name in known}
        yield from self._deleted(PlannedKind.WEBHOOK, (project,), there, kept)

    def _run(
        self, place: tuple[str, ...], old: Project | Stage | None, said: PlanFields
    ) -> dict[str, Any]:
        """Return `said` with all run options, to be merged into those of `old`."""
        run, env = (old.run, old.env) if old else (NO_OPTIONS, {})
        body: dict[str, Any] = {one.name: default_of(one) for one in fields(RunOptions)}
        body |= {"env": {}, **said}
        for name in (*STRING_MAPS, *SECRET_MAPS):
            before = env if name == "env" else getattr(run, name)
            wanted = {key: value for key, value in body[name].items() if value is not None}
            kept = body[name].keys() - wanted.keys()
            if name in SECRET_MAPS:
                gone = before.keys() - body[name].keys() if self._prune else ()
                self.missing += [
                    ".".join((*place, name, key)) for key in sorted(kept - before.keys())
                ]
            else:
                gone = before.keys() - wanted.keys()
            body[name] = {**dict.fromkeys(sorted(gone)), **wanted}
        return body

    def _deleted(
        self,
        kind: PlannedKind,
        owner: tuple[str, ...],
        there: Sequence[Registry | Project | Stage | ProjectWebhook],
        kept: Mapping[str, Registry | Project | Stage | ProjectWebhook],
    ) -> Iterator[PlannedChange]:
        if not self._prune:
            return
        ids = {one.id for one in kept.values()}
        for one in there:
            if one.id not in ids:
                yield PlannedChange(
                    kind=kind,
                    action=PlannedAction.DELETE,
                    names=(*owner, one.name),
                    target=one.id,
                )


def _matched(
    there: Sequence[Planned],
    wanted: Mapping[str, PlanFields],
    is_same: Callable[[Planned, PlanFields], bool],
) -> dict[str, Planned]:
    """Return what there is for each wanted name: of that name, else the same under another name."""
    found = {one.name: one for one in there if one.name in wanted}
    others = [one for one in there if one.name not in wanted]
    for name, said in wanted.items():
        same = next((one for one in others if name not in found and is_same(one, said)), None)
        if same:
            found[name] = same
            # Once: a second name for it is a second thing, which the operation refuses.
            others.remove(same)
    return found


def _defaults(type_: type) -> dict[str, Any]:
    """Return the defaults of the fields that a file can leave out."""
    left_out = {"run", "env", "login_service", "held_at", "held_by"}
    left_out |= {"stopped_at", "stopped_by", "image_volumes", "adopted_volumes", "password"}
    found = {one.name: default_of(one) for one in fields(type_) if one.name not in left_out}
    given = {"id", "project_id", "created_at", "name", "url", "kind", "pattern"}
    return {name: value for name, value in found.items() if name not in given}


def _planned(
    kind: PlannedKind, names: tuple[str, ...], old: Planned | None, new: Planned, body: PlanFields
) -> Iterator[PlannedChange]:
    """Yield the change from `old` to `new`, if there is one."""
    if old is None:
        action, target = PlannedAction.CREATE, None
    elif old != new:
        action, target = PlannedAction.CHANGE, old.id
    else:
        return
    changes = changes_between(old, new)
    yield PlannedChange(
        kind=kind, action=action, names=names, target=target, fields=body, changes=changes
    )
