"""Finding projects and stages by the names that people type."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from tagboat.cli.client import Answer, Client
from tagboat.core.errors import NotFoundError

_SHOWN = 20


def find_project(client: Client, name: str) -> Answer:
    """The project of that name; raise NotFoundError listing those there are."""
    return _find(client.items("/api/projects"), name, "project")


def find_stage(client: Client, project: str, stage: str) -> Answer:
    """The stage of that name; raise NotFoundError listing those there are."""
    return _find(find_stages(client, project), stage, f"stage of {project}")


def find_stages(client: Client, project: str) -> list[Answer]:
    """The stages of the project of that name."""
    return client.items(f"/api/projects/{find_project(client, project)['id']}/stages")


def of_deploy(deploy: str, call: Callable[[str], Answer]) -> Answer:
    """What `call` answers for the path of the deploy of that id. Raises NotFoundError that says where ids are shown."""
    try:
        return call(f"/api/deploys/{quote(deploy, safe='', errors='replace')}")
    except NotFoundError:
        raise no_deploy(deploy) from None


def no_deploy(deploy: str) -> NotFoundError:
    """The error where no deploy has that id."""
    return NotFoundError(f"there is no deploy {deploy}; 'tagboat deploys list' shows their ids")


def find_hook(client: Client, project: str, name: str) -> Answer:
    """The webhook URL of that name; raise NotFoundError listing those there are."""
    return _find(find_hooks(client, project), name, f"webhook of {project}")


def find_hooks(client: Client, project: str) -> list[Answer]:
    """The webhook URLs of the project of that name."""
    return client.items(f"/api/projects/{find_project(client, project)['id']}/webhooks")


def find_registry(client: Client, name: str) -> Answer:
    """The registry of that name; raise NotFoundError listing those there are."""
    return _find(client.items("/api/registries"), name, "registry")


def _find(items: Sequence[Answer], name: str, noun: str) -> Answer:
    for item in items:
        if item["name"] == name:
            return item
    there = (
        ", ".join([item["name"] for item in items[:_SHOWN]] + ["…"] * (len(items) > _SHOWN))
        or "none yet"
    )
    raise NotFoundError(f"there is no {noun} named {name!r}; there are: {there}")
