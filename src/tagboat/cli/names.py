"""Projects, stages, webhooks and registries by the names that people type."""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from tagboat.cli.client import ApiObject, Client
from tagboat.core.accounts import account_key
from tagboat.core.errors import NotFoundError

_NAMES_LISTED = 20


def find_project(client: Client, name: str) -> ApiObject:
    """Return the project of that name. Raises NotFoundError that lists the names there are."""
    return _find_by_name(client.items("/api/projects"), name, "project")


def find_stage(client: Client, project: str, stage: str) -> ApiObject:
    """Return the stage of that name. Raises NotFoundError that lists the names there are."""
    # An empty filter would be no filter.
    found = project and stage and client.get("/api/stages", project=project, name=stage)["items"]
    if found:
        return ApiObject(found[0])
    return _find_by_name(project_stages(client, project), stage, f"stage of {project}")


def no_such_stage(project: str, name: str, stages: Sequence[ApiObject]) -> NotFoundError:
    """Return the error for a stage that is not among the `stages` of a project."""
    return _unknown_name(stages, name, f"stage of {project}")


def project_stages(client: Client, project: str) -> list[ApiObject]:
    """Return the stages of the project of that name."""
    return client.items(f"/api/projects/{find_project(client, project)['id']}/stages")


def call_deploy(deploy: str, call: Callable[[str], ApiObject]) -> ApiObject:
    """Return the answer of `call` for the path of a deploy's id.

    Raises NotFoundError that names the command that lists ids.
    """
    try:
        # A slash that was typed must not become part of the path.
        return call(f"/api/deploys/{quote(deploy, safe='', errors='replace')}")
    except NotFoundError:
        raise unknown_deploy(deploy) from None


def unknown_deploy(deploy: str) -> NotFoundError:
    """Return the error for a deploy's id that does not exist."""
    return NotFoundError(f"there is no deploy {deploy}; 'tagboat deploys list' shows their ids")


def find_webhook(client: Client, project: str, name: str) -> ApiObject:
    """Return the webhook of that name. Raises NotFoundError that lists the names there are."""
    return _find_by_name(project_webhooks(client, project), name, f"webhook of {project}")


def project_webhooks(client: Client, project: str) -> list[ApiObject]:
    """Return the webhook URLs of the project of that name."""
    return client.items(f"/api/projects/{find_project(client, project)['id']}/webhooks")


def find_registry(client: Client, name: str) -> ApiObject:
    """Return the registry of that name. Raises NotFoundError that lists the names there are."""
    return _find_by_name(client.items("/api/registries"), name, "registry")


def find_user(client: Client, name: str) -> ApiObject:
    """Return the account of that name, in whatever case. Raises NotFoundError with the names."""
    return _find_account(client.items("/api/users"), name, "account")


def find_token(client: Client, name: str) -> ApiObject:
    """Return the token of that name, in whatever case. Raises NotFoundError with the names."""
    return _find_account(client.items("/api/tokens"), name, "token")


def _find_account(items: Sequence[ApiObject], name: str, noun: str) -> ApiObject:
    key = account_key(name)
    same = next((item for item in items if account_key(item["name"]) == key), None)
    return same or _find_by_name(items, name, noun)


def _find_by_name(items: Sequence[ApiObject], name: str, noun: str) -> ApiObject:
    for item in items:
        if item["name"] == name:
            return item
    raise _unknown_name(items, name, noun)


def _unknown_name(items: Sequence[ApiObject], name: str, noun: str) -> NotFoundError:
    names = [item["name"] for item in items[:_NAMES_LISTED]]
    # A line on a terminal has no room for hundreds of them.
    more = ["…"] * (len(items) > _NAMES_LISTED)
    there = f"there are: {', '.join(names + more)}" if names else "there is none yet"
    return NotFoundError(f"there is no {noun} named {name!r}; {there}")


def place_filter(client: Client, project: str | None, stage: str | None) -> dict[str, str]:
    """Return the parameter of a list that keeps one stage or one project; none for all."""
    # By id, so that a misspelt name is an error and not an empty list.
    if project is None:
        return {}
    if stage is None:
        return {"project": find_project(client, project)["id"]}
    return {"stage": find_stage(client, project, stage)["id"]}
