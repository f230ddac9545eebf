"""Names that the shell offers when Tab is pressed, as the server knows them.

If the server does not answer in time, no name is offered.
"""

from collections.abc import Callable, Iterable

import typer

from tagboat.cli.client import Client
from tagboat.cli.context import current_context
from tagboat.cli.names import find_project, project_stages, project_webhooks
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


def _field_of_items(client: Client, path: str, field: str = "name") -> list[str]:
    return [item[field] for item in client.items(path)]


def _typed_project(ctx: typer.Context) -> str:
    # The first word after `cancel` may be a project or a deploy.
    return str(ctx.params.get("project") or ctx.params.get("deploy") or "")


def _complete(incomplete: str, find: Callable[[Client], Iterable[str]]) -> list[str]:
    try:
        found = find(Client(current_context().server(), timeout_s=COMPLETION_TIMEOUT_S))
        # Some shells do not filter what they are offered.
        return [name for name in found if name.startswith(incomplete)]
    except (TagboatError, OSError):
        # An error message would land in the line that is being typed.
        return []
