"""Configuration as one document: its keys, and all that is configured, with defaults left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from enum import Enum
from typing import Any

from msgspec import Struct

from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.config import Config
from tagboat.core.image import ImageName
from tagboat.core.project_webhook import ProjectWebhook
from tagboat.core.run import RunOptions
from tagboat.core.tags import TagPattern

SECRET_MAPS = ("secrets", "secret_files")
STRING_MAPS = ("env", "volumes", "labels", "extra_hosts", "tmpfs")
# As callers of the API know them.
FILE_NAMES = {"pattern": "tag_pattern", "registry_id": "registry"}
FOLLOWED = ("port", "healthcheck", "protocol")
"""Fields of a project that the image decides where the file has none."""

# Ids, times, and what deploys and images bring: state, not configuration.
_STATE = frozenset(
    {
        *("id", "project_id", "name", "run", "created_at", "held_at", "held_by", "inspected"),
        *("stopped_at", "stopped_by", "image_volumes", "adopted_volumes", "login_service"),
        *(f"{name}_set" for name in FOLLOWED),
    }
)


def _keys(type_: type) -> tuple[str, ...]:
    names = [field.name for field in fields(type_) if field.name not in _STATE]
    return tuple(FILE_NAMES.get(name, name) for name in names)


RUN_KEYS = _keys(RunOptions)
REGISTRY_KEYS = _keys(Registry)
STAGE_KEYS = (*_keys(Stage), *RUN_KEYS)
PROJECT_KEYS = (*_keys(Project), *RUN_KEYS, "stages", "webhooks")
SETTING_KEYS = _keys(Config)
SECTIONS = ("settings", "registries", "projects")


class Configured(Struct, frozen=True, kw_only=True):
    """All that is configured on a server; stages and webhooks by the ids of their projects."""

    registries: Sequence[Registry]
    projects: Sequence[Project]
    stages: Mapping[str, Sequence[Stage]]
    webhooks: Mapping[str, Sequence[ProjectWebhook]]
    config: Config


class UnknownKey(Struct, frozen=True):
    """A key that a document cannot have, with the keys that lead to it; `nearest` is one it can.

    `nearest` is None where no key is like it.
    """

    path: tuple[str, ...]
    nearest: str | None


def unknown_keys(document: Mapping[str, Any]) -> list[UnknownKey]:
    """Return the keys of `document` that are not known, in its order.

    A part that is not a map has no keys.
    """
    found = list(_unknown_in(document, SECTIONS, ()))
    found += _unknown_in(_map(document, "settings"), SETTING_KEYS, ("settings",))
    for name, registry in _map(document, "registries").items():
        found += _unknown_in(registry, REGISTRY_KEYS, ("registries", name))
    for name, project in _map(document, "projects").items():
        place = ("projects", name)
        found += _unknown_in(project, PROJECT_KEYS, place)
        for stage, body in _map(project, "stages").items():
            found += _unknown_in(body, STAGE_KEYS, (*place, "stages", stage))
    return found


def _map(parent: object, key: str) -> Mapping[str, Any]:
    value = parent.get(key) if isinstance(parent, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _unknown_in(body: object, known: Sequence[str], place: tuple[str, ...]) -> Iterator[UnknownKey]:
    for key in body if isinstance(body, Mapping) else ():
        if key not in known:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a wrong name

            near = get_close_matches(key, known, n=1)
            yield UnknownKey((*place, key), near[0] if near else None)


def config_document(configured: Configured) -> dict[str, Any]:
    """Return all configuration as a JSON object that says the same when it is applied.

    Values that are the default are left out, save those of settings. A secret is null: it stays as
    it is. Projects are in order of name, stages in the order in which they are tried.
    """
    names = {registry.id: registry.name for registry in configured.registries}
    return {
        "settings": {name: _plain_value(getattr(configured.config, name)) for name in SETTING_KEYS},
        "registries": {
            one.name: {
                "url": one.url,
                "kind": one.kind.value,
                **_said(one),
                **({} if one.password is None else {"password": None}),
            }
            for one in sorted(configured.registries, key=lambda one: one.name)
        },
        "projects": {
            one.name: {
                **_project_body(one, names),
                **_parts(configured, one),
            }
            for one in sorted(configured.projects, key=lambda one: one.name)
        },
    }


def _project_body(project: Project, registries: Mapping[str, str]) -> dict[str, Any]:
    body = _said(project)
    for name in FOLLOWED:
        body.pop(name, None)
        # What a person has set, even to the default, no image changes any more.
        if getattr(project, f"{name}_set"):
            body[name] = _plain_value(getattr(project, name))
    if project.registry_id is not None:
        body["registry"] = registries.get(project.registry_id, project.registry_id)
    return {**body, **_run_body(project.run)}


def _parts(configured: Configured, project: Project) -> dict[str, Any]:
    """Return the stages and the names of the webhook URLs of a project, where it has any."""
    order = sorted(
        configured.stages.get(project.id, ()), key=lambda stage: (stage.position, stage.name)
    )
    stages = {stage.name: {**_said(stage), **_run_body(stage.run)} for stage in order}
    webhooks = sorted(webhook.name for webhook in configured.webhooks.get(project.id, ()))
    return ({"stages": stages} if stages else {}) | ({"webhooks": webhooks} if webhooks else {})


def _said(one: Registry | Project | Stage) -> dict[str, Any]:
    """Return the fields that are not the default, by their names in the file."""
    return {
        FILE_NAMES.get(field.name, field.name): _plain_value(getattr(one, field.name))
        for field in fields(one)
        if field.name not in _STATE and getattr(one, field.name) != default_of(field)
    }


def _run_body(run: RunOptions) -> dict[str, Any]:
    return {
        name: dict.fromkeys(sorted(value)) if name in SECRET_MAPS else _plain_value(value)
        for name, value in run.said.items()
    }


def default_of(field: "Field[Any]") -> object:
    """Return the default of a field of a dataclass, `MISSING` where it must be given."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _plain_value(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, TagPattern | ImageName):
        return str(value)
    if isinstance(value, Mapping):
        return {name: value[name] for name in sorted(value)}
    return list(value) if isinstance(value, tuple) else value
