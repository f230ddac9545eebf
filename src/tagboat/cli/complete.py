"""What the shell offers when Tab is pressed: names that the server knows. Where they cannot be had, soon, it offers none."""

from collections.abc import Callable, Iterable

import typer

from tagboat.cli.client import Client
from tagboat.cli.names import find_hooks, find_project, find_stages
from tagboat.cli.place import this_place
from tagboat.core.errors import TagboatError

TIMEOUT_S = 2.0
"""Seconds that each answer may take: somebody waits at the keyboard."""


def projects(incomplete: str) -> list[str]:
    """Names of projects."""
    return _offer(incomplete, lambda client: _names(client, "/api/projects"))


def stages(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the stages of the project typed before."""
    return _offer(
        incomplete, lambda client: (stage["name"] for stage in find_stages(client, _project(ctx)))
    )


def tags(ctx: typer.Context, incomplete: str) -> list[str]:
    """Known tags of the project typed before."""
    return _offer(
        incomplete,
        lambda client: _names(
            client, f"/api/projects/{find_project(client, _project(ctx))['id']}/tags", "tag"
        ),
    )


def hooks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the webhook URLs of the project typed before."""
    return _offer(
        incomplete, lambda client: (hook["name"] for hook in find_hooks(client, _project(ctx)))
    )


def registries(incomplete: str) -> list[str]:
    """Names of registries."""
    return _offer(incomplete, lambda client: _names(client, "/api/registries"))


def images(incomplete: str) -> list[str]:
    """Images of all registries that tell theirs."""
    return _offer(
        incomplete,
        lambda client: (
            image
            for registry in client.items("/api/registries")
            for image in client.get(f"/api/registries/{registry['id']}/images")["items"]
        ),
    )


def deliveries(incomplete: str) -> list[str]:
    """Ids of the newest deliveries."""
    return _offer(
        incomplete, lambda client: (item["id"] for item in client.get("/api/deliveries")["items"])
    )


def _names(client: Client, path: str, field: str = "name") -> list[str]:
    return [item[field] for item in client.items(path)]


def _project(ctx: typer.Context) -> str:
    """What was typed where the project belongs; `cancel` takes a deploy there, too."""
    return str(ctx.params.get("project") or ctx.params.get("deploy") or "")


def _offer(incomplete: str, find: Callable[[Client], Iterable[str]]) -> list[str]:
    try:
        found = find(Client(this_place().server(), timeout_s=TIMEOUT_S))
        return [name for name in found if name.startswith(incomplete)]
    except (TagboatError, OSError):
        # Words of complaint would land in the line that is being typed.
        return []
