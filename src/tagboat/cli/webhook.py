"""`tagboat webhook`: the URL for all images, and those for one project's image each."""

from typing import Annotated
from urllib.parse import quote, urlsplit

import typer

from tagboat.cli import complete, show, webhook_signatures
from tagboat.cli.client import ApiObject
from tagboat.cli.fields import show_fields
from tagboat.cli.list_group import ListGroup
from tagboat.cli.names import find_project, find_registry, find_webhook
from tagboat.cli.options import (
    JsonOption,
    OptionalProjectArg,
    ProjectArg,
    RegistryOption,
    YesOption,
    connect,
)
from tagboat.cli.prompts import confirm, is_interactive

WEBHOOK_HELP = """Show, create, sign or revoke the URLs that registries call.

One URL accepts pushes of all images. Each other URL accepts pushes of one project's image
only, for senders that you trust with nothing else; these URLs have names. Each URL contains
its secret: treat it as a password. By itself, this lists the URLs for one project.
"""
app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
WebhookArg = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The webhook's name.", autocompletion=complete.webhook_names
    ),
]
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ONLY_HERE = (
    "Only senders on this machine reach this address. For others, start the server with"
    " TAGBOAT_PUBLIC_URL, the address at which they do."
)
_SHOWN_ONCE = (
    "Save it now: it is not shown again. 'tagboat webhook rotate PROJECT NAME' replaces it, and the"
    " old URL ends at once"
)
_QUESTION = "The old URL stops working at once, for every sender that uses it."
_OTHERWISE = "the old URL would stop working at once"


@app.callback(help=WEBHOOK_HELP)
def webhook_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """See WEBHOOK_HELP."""
    if ctx.invoked_subcommand is None:
        webhook_list(as_json=as_json)


@app.command("url")
def webhook_url(registry: RegistryOption = None, *, as_json: JsonOption = False) -> None:
    """Show the URL for all images, for your forge, registry or CI.

    Zot, Nexus and some others do not name the host of their images. With several registries,
    give each its own URL: --registry NAME.
    """
    client = connect()
    found = client.get("/api/settings/webhook")
    if registry is not None:
        # The registry must exist: a wrong name in the URL would fail only at the first push.
        name = quote(find_registry(client, registry)["name"], safe="")
        found = ApiObject(found, url=f"{found['url']}?registry={name}")
    if not as_json:
        # On stderr, so that a program can read the URL alone.
        show.progress(found["allows"])
        if urlsplit(found["url"]).hostname in _LOOPBACK:
            show.progress(_ONLY_HERE)
    _show_url(found, as_json=as_json)


@app.command("heard")
def webhook_heard(*, as_json: JsonOption = False) -> None:
    """Show when each sender and registry called last.

    A registry that should have called and did not is named, too.
    """
    found = connect().get("/api/heard")
    if as_json:
        show.as_json(found)
        return
    show.table(
        ("sender", "last call", "about"),
        ((one["sender"], show.timestamp(one["at"]), one["host"]) for one in found["senders"]),
    )
    show.line("")
    show.table(
        ("registry", "last call", "by", "missing"),
        (
            (
                one["registry"]["name"] if one["registry"] else one["host"],
                show.timestamp(one["last"]["at"]) if one["last"] else "never",
                one["last"]["sender"] if one["last"] else None,
                one["silent"],
            )
            for one in found["registries"]
        ),
    )


@app.command("regenerate")
def webhook_regenerate(*, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Replace the URL for all images; the old one ends at once."""
    # A program that calls this means it; only a person may have mistyped.
    if not yes and is_interactive():
        confirm(_QUESTION, _OTHERWISE)
    _show_url(connect().post("/api/settings/webhook/regenerate"), as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def webhook_list(project: OptionalProjectArg = None, *, as_json: JsonOption = False) -> None:
    """List the URLs for one project's image only.

    Without their secrets, and with the signature that each requires.
    """
    client = connect()
    projects = (
        [find_project(client, project)] if project is not None else client.items("/api/projects")
    )
    hooks = [
        hook for one in projects for hook in client.items(f"/api/projects/{one['id']}/webhooks")
    ]
    if as_json:
        show.as_json(hooks)
    elif hooks:
        rows = (
            (
                hook["project"]["name"],
                hook["name"],
                " ".join(filter(None, map((hook["signature"] or {}).get, ("kind", "header")))),
                show.timestamp(hook["created_at"]),
            )
            for hook in hooks
        )
        show.table(("project", "webhook", "signed", "created"), rows)
    else:
        show.line("No project has its own webhook: 'tagboat webhook add PROJECT NAME' creates one.")


@app.command("add")
def webhook_add(
    project: ProjectArg,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name, such as the sender's name.")
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Create a URL for one project's image only.

    It is shown once. Other images in a call of it are skipped.
    """
    client = connect()
    path = f"/api/projects/{find_project(client, project)['id']}/webhooks"
    created = client.post(path, {"name": name})
    show.progress(_SHOWN_ONCE)
    _show_url(created, as_json=as_json)


@app.command("show")
def webhook_show(project: ProjectArg, name: WebhookArg, *, as_json: JsonOption = False) -> None:
    """Show a project's URL, without the secret in it."""
    found = find_webhook(connect(), project, name)
    if as_json:
        show.as_json(found)
    else:
        show_fields(found)


@app.command("rename")
def webhook_rename(
    project: ProjectArg,
    name: WebhookArg,
    new_name: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Rename a project's URL; the URL itself stays."""
    client = connect()
    path = f"/api/webhooks/{find_webhook(client, project, name)['id']}"
    saved = client.patch(path, {"name": new_name})
    if as_json:
        show.as_json(saved)
    else:
        show.line(f"the webhook {name} of {project} is now called {saved['name']}")


@app.command("rotate")
def webhook_rotate(
    project: ProjectArg, name: WebhookArg, *, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Replace a project's URL; the old one ends at once."""
    client = connect()
    found = find_webhook(client, project, name)
    if not yes:
        confirm(_QUESTION, _OTHERWISE)
    created = client.post(f"/api/webhooks/{found['id']}/rotate")
    show.progress(_SHOWN_ONCE)
    _show_url(created, as_json=as_json)


@app.command("revoke")
def webhook_revoke(
    project: ProjectArg, name: WebhookArg, *, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Revoke a project's URL: calls of it are answered 404."""
    client = connect()
    found = find_webhook(client, project, name)
    if not yes:
        confirm(_QUESTION, _OTHERWISE)
    client.delete(f"/api/webhooks/{found['id']}")
    if as_json:
        show.as_json(found)
    else:
        show.line(
            f"the webhook {name} of {project} is revoked: its URL is answered 404 from now on"
        )


def _show_url(answer: ApiObject, *, as_json: bool) -> None:
    if as_json:
        show.as_json(answer)
    else:
        show.line(answer["url"])


# Without a name, its commands stand among those above.
app.add_typer(webhook_signatures.app)
