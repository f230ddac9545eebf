"""`tagboat webhook`: the URL for all images, and those for one project's image each."""

from urllib.parse import quote

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.given import confirm, someone_is_there
from tagboat.cli.names import find_hook, find_hooks, find_project, find_registry

_COLUMNS = ("project", "webhook", "signed", "made")
_ONCE = "Save it now: it is not shown again. 'tagboat webhook rotate' replaces it"
_QUESTION = "The old URL stops working at once, for every sender that has it."
_OTHERWISE = "the old URL would stop working at once"


def webhook_url(client: Client, registry: str | None, *, as_json: bool) -> int:
    """Show the secret URL, and beside it what it allows.

    Where a `registry` is given, the URL is for a sender that does not say that its images are there.
    """
    found = client.get("/api/settings/webhook")
    if registry is not None:
        name = quote(find_registry(client, registry)["name"], safe="")
        found = Answer(found, url=f"{found['url']}?registry={name}")
    if not as_json:
        show.progress(found["allows"])
    return _show(found, as_json=as_json)


def webhook_regenerate(client: Client, *, sure: bool, as_json: bool) -> int:
    """Make a new secret URL and show it."""
    # A program that calls this means it; only a person may have slipped.
    if not sure and someone_is_there():
        confirm(_QUESTION, _OTHERWISE)
    return _show(client.post("/api/settings/webhook/regenerate"), as_json=as_json)


def webhook_list(client: Client, project: str | None, *, as_json: bool) -> int:
    """Show the webhook URLs of one project, or of all, without their secrets."""
    names = (
        [project]
        if project is not None
        else [item["name"] for item in client.items("/api/projects")]
    )
    hooks = [hook for name in names for hook in find_hooks(client, name)]
    if as_json:
        show.as_json(hooks)
    elif hooks:
        show.table(_COLUMNS, map(_row, hooks))
    else:
        show.line(
            "No project has a webhook of its own: 'tagboat webhook add PROJECT NAME' makes one."
        )
    return 0


def webhook_add(client: Client, project: str, name: str, *, as_json: bool) -> int:
    """Make a webhook URL for one project's image and show it."""
    made = client.post(
        f"/api/projects/{find_project(client, project)['id']}/webhooks", {"name": name}
    )
    show.progress(_ONCE)
    return _show(made, as_json=as_json)


def webhook_rotate(client: Client, project: str, name: str, *, sure: bool, as_json: bool) -> int:
    """Make a new secret URL for one project's image and show it."""
    found = find_hook(client, project, name)
    if not sure:
        confirm(_QUESTION, _OTHERWISE)
    made = client.post(f"/api/webhooks/{found['id']}/rotate")
    show.progress(_ONCE)
    return _show(made, as_json=as_json)


def webhook_revoke(client: Client, project: str, name: str, *, sure: bool, as_json: bool) -> int:
    """Revoke a webhook URL of one project's image."""
    found = find_hook(client, project, name)
    if not sure:
        confirm(_QUESTION, _OTHERWISE)
    client.delete(f"/api/webhooks/{found['id']}")
    if as_json:
        show.as_json(found)
    else:
        show.line(f"the webhook {name} of {project} is revoked: its URL is unknown from now on")
    return 0


def _row(hook: Answer) -> tuple[object, ...]:
    signature = hook["signature"]
    signed = signature and " ".join(filter(None, (signature["kind"], signature["header"])))
    return (hook["project"]["name"], hook["name"], signed, show.when(hook["created_at"]))


def _show(answer: Answer, *, as_json: bool) -> int:
    if as_json:
        show.as_json(answer)
    else:
        show.line(answer["url"])
    return 0
