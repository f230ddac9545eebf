"""Names that the shell offers when Tab is pressed, as the server knows them.

If the server does not answer in time, no name is offered.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import typer

from tagboat.cli.client import Client
from tagboat.cli.context import current_context
from tagboat.cli.names import find_project, project_stages, project_webhooks
from tagboat.core.config_file import SECRET_MAPS
from tagboat.core.errors import TagboatError

# Limit for each call: a person waits at the keyboard.
COMPLETION_TIMEOUT_S = 2.0


def project_names(incomplete: str) -> list[str]:
    """Return the names of projects."""
    return _complete(incomplete, lambda client: _field_of_items(client, "/api/projects"))


def stage_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the stages of the project on the command line."""
    return _complete(
        incomplete,
        lambda client: (stage["name"] for stage in project_stages(client, _typed_project(ctx))),
    )


def tag_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the known tags of the project on the command line."""
    return _complete(
        incomplete,
        lambda client: _field_of_items(
            client, f"/api/projects/{find_project(client, _typed_project(ctx))['id']}/tags", "tag"
        ),
    )


def webhook_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the webhook URLs of the project on the command line."""
    return _complete(
        incomplete,
        lambda client: (hook["name"] for hook in project_webhooks(client, _typed_project(ctx))),
    )


def registry_names(incomplete: str) -> list[str]:
    """Return the names of registries."""
    return _complete(incomplete, lambda client: _field_of_items(client, "/api/registries"))


def user_names(incomplete: str) -> list[str]:
    """Return the names of accounts."""
    return _complete(incomplete, lambda client: _field_of_items(client, "/api/users"))


def token_names(incomplete: str) -> list[str]:
    """Return the names of API tokens."""
    return _complete(incomplete, lambda client: _field_of_items(client, "/api/tokens"))


def image_names(incomplete: str) -> list[str]:
    """Return the images of all registries that list theirs."""
    return _complete(
        incomplete,
        lambda client: (
            image
            for registry in client.items("/api/registries")
            for image in client.get(f"/api/registries/{registry['id']}/images")["items"]
        ),
    )


def delivery_ids(incomplete: str) -> list[str]:
    """Return the ids of the newest deliveries."""
    return _complete(
        incomplete, lambda client: (item["id"] for item in client.get("/api/deliveries")["items"])
    )


def deploy_ids(incomplete: str) -> list[str]:
    """Return the ids of the newest deploys."""
    return _complete(
        incomplete, lambda client: (item["id"] for item in client.get("/api/deploys")["items"])
    )


def open_deploys_and_projects(incomplete: str) -> list[str]:
    """Return the names of projects, and the ids of deploys that can be cancelled."""
    return _complete(
        incomplete,
        lambda client: (
            *_field_of_items(client, "/api/projects"),
            *_field_of_items(client, "/api/deploys", "id", status=("queued", "running")),
        ),
    )


def instance_ids(incomplete: str) -> list[str]:
    """Return the ids of the newest instances."""
    return _complete(
        incomplete, lambda client: (item["id"] for item in client.get("/api/instances")["items"])
    )


def setting_names(incomplete: str) -> list[str]:
    """Return the names of settings."""
    return _complete(incomplete, lambda client: client.get("/api/settings"))


def variable_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return stages, and names of variables, of the project on the command line."""
    return _complete(incomplete, lambda client: _stages_and_names(client, ctx, ("env",)))


def variable_pairs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return stages, and names of variables with an equals sign."""
    return _complete(incomplete, lambda client: _stages_and_names(client, ctx, ("env",), "="))


def secret_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return stages, and names of secrets, of the project on the command line."""
    return _complete(incomplete, lambda client: _stages_and_names(client, ctx, SECRET_MAPS))


def _stages_and_names(
    client: Client, ctx: typer.Context, fields: Sequence[str], end: str = ""
) -> Iterator[str]:
    project, typed = find_project(client, _typed_project(ctx)), ctx.params.get("words") or ()
    stages = client.items(f"/api/projects/{project['id']}/stages")
    chosen = next((stage for stage in stages if typed and stage["name"] == typed[0]), None)
    if not typed:
        yield from (stage["name"] for stage in stages)
    for field in fields:
        yield from (f"{name}{end}" for name in (chosen or project)[field])


def _field_of_items(client: Client, path: str, field: str = "name", **query: object) -> list[str]:
    return [item[field] for item in client.items(path, **query)]


def _typed_project(ctx: typer.Context) -> str:
    # The first word after `cancel` may be a project or a deploy.
    return str(ctx.params.get("project") or ctx.params.get("deploy") or "")


def _complete(incomplete: str, find: Callable[[Client], Iterable[str]]) -> list[str]:
    try:
        found = find(Client(current_context().server(), timeout_s=COMPLETION_TIMEOUT_S))
        # Some shells do not filter what they are offered, and none removes control characters.
        return [name for name in found if name.startswith(incomplete) and name.isprintable()]
    except (TagboatError, OSError):
        # An error message would land in the line that is being typed.
        return []
