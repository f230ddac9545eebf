"""`tagboat users`, and the commands below it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import ApiObject
from tagboat.cli.fields import show_fields
from tagboat.cli.list_group import ListGroup
from tagboat.cli.names import find_user
from tagboat.cli.options import JsonOption, YesOption, connect
from tagboat.cli.prompts import confirm, prompt_new_password

app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
UserArg = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The account's name.", autocompletion=complete.user_names),
]
NewPasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="A file with the password; without it, type it unseen, or pipe it in.",
    ),
]
LimitedProjectsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--project",
        metavar="PROJECT",
        help="A deployer may act on this project only; repeat it for several.",
        autocompletion=complete.project_names,
    ),
]
# Literals, not enums: usage errors list their values in plain.
UserRoleWord = Literal["viewer", "deployer", "admin"]
_ROLE_HELP = "viewer (reads), deployer (also deploys) or admin (everything)."


@app.callback()
def users_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List the accounts of people."""
    if ctx.invoked_subcommand is None:
        users_list(as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def users_list(*, as_json: JsonOption = False) -> None:
    """List the accounts."""
    items = connect().items("/api/users")
    if as_json:
        show.as_json(items)
    elif items:
        show.table(
            ("name", "role", "last sign-in", "projects"),
            (
                (
                    item["name"],
                    item["role"],
                    show.timestamp(item["signed_in_at"]),
                    show_limit(item),
                )
                for item in items
            ),
        )
    else:
        show.line("There is no account yet: 'tagboat users setup-link' makes a link for the first.")


@app.command("show")
def users_show(name: UserArg, *, as_json: JsonOption = False) -> None:
    """Show all fields of an account, except its password."""
    found = find_user(connect(), name)
    if as_json:
        show.as_json(found)
    else:
        show_fields({**found, "projects": show_limit(found)})


@app.command("add", hidden=True)
@app.command("create")
def users_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, to sign in with.")],
    *,
    role: Annotated[
        UserRoleWord | None, typer.Option("--role", metavar="ROLE", help=_ROLE_HELP)
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Short for --role admin.")] = False,
    projects: LimitedProjectsOption = None,
    password_file: NewPasswordFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account; a viewer, unless another role is given."""
    if admin and role not in {None, "admin"}:
        raise typer.BadParameter(f"contradicts --role {role}", param_hint="--admin")
    client = connect()
    body = {
        "name": name,
        "role": "admin" if admin else role or "viewer",
        "projects": projects or None,
        "password": prompt_new_password(password_file),
    }
    _show_saved_user(client.post("/api/users", body), "made", as_json=as_json)


@app.command("edit")
def users_edit(
    name: UserArg,
    *,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="Its new name.")
    ] = None,
    role: Annotated[
        UserRoleWord | None, typer.Option("--role", metavar="ROLE", help=_ROLE_HELP)
    ] = None,
    projects: LimitedProjectsOption = None,
    all_projects: Annotated[
        bool, typer.Option("--all-projects", help="End the limit to projects.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Change name, role or projects; it holds at once."""
    if all_projects and projects:
        raise typer.BadParameter("contradicts --project", param_hint="--all-projects")
    fields: dict[str, object] = {}
    if new_name is not None:
        fields["name"] = new_name
    if role is not None:
        fields["role"] = role
    if projects or all_projects:
        fields["projects"] = projects or None
    if not fields:
        raise typer.BadParameter(
            "say what to change, such as --role viewer; --help lists it all", param_hint="OPTIONS"
        )
    client = connect()
    changed = client.patch(f"/api/users/{find_user(client, name)['id']}", fields)
    _show_saved_user(changed, "changed", as_json=as_json)


@app.command("reset-password")
def users_reset_password(
    name: UserArg, *, password_file: NewPasswordFileOption = None, as_json: JsonOption = False
) -> None:
    """Give an account another password, and end its sessions."""
    client = connect()
    # A wrong name is an error before a password is typed.
    path = f"/api/users/{find_user(client, name)['id']}"
    changed = client.patch(path, {"password": prompt_new_password(password_file)})
    _show_saved_user(changed, "changed; it has to sign in again", as_json=as_json)


@app.command("sign-out")
def users_sign_out(name: UserArg, *, as_json: JsonOption = False) -> None:
    """End all sessions of an account."""
    client = connect()
    found = find_user(client, name)
    client.post(f"/api/users/{found['id']}/sign-out")
    if as_json:
        show.as_json(found)
        return
    show.line(f"the account {found['name']} is signed out everywhere")


@app.command("remove", hidden=True)
@app.command("delete")
def users_delete(name: UserArg, *, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Delete an account, and end its sessions."""
    client = connect()
    found = find_user(client, name)
    if not yes:
        confirm(
            f"The account {found['name']} is deleted.",
            f"the account {found['name']} would be deleted",
        )
    client.delete(f"/api/users/{found['id']}")
    if as_json:
        show.as_json(found)
    else:
        show.line(f"the account {found['name']} is deleted")


@app.command("setup-link")
def users_setup_link(*, as_json: JsonOption = False) -> None:
    """Make a link for the first account, if there is none.

    The account is an admin. The link holds once, for 24 hours; older links end.
    """
    answer = connect().post("/api/users/setup-link")
    if as_json:
        show.as_json(answer)
    else:
        show.line(answer["url"])


@app.command("sign-in-link")
def users_sign_in_link(name: UserArg, *, as_json: JsonOption = False) -> None:
    """Make a link that signs a browser in, once.

    It holds for an hour; older links end. Only the machine of the server can make one.
    """
    client = connect()
    answer = client.post(f"/api/users/{find_user(client, name)['id']}/sign-in-link")
    if as_json:
        show.as_json(answer)
    else:
        show.line(answer["url"])


def show_limit(item: ApiObject) -> str:
    """Return the projects that an account or token is limited to, in words."""
    if item["projects"] is None:
        return "all"
    return ", ".join(project["name"] for project in item["projects"]) or "none that exists"


def _show_saved_user(user: ApiObject, what: str, *, as_json: bool) -> None:
    if as_json:
        show.as_json(user)
    else:
        show.line(f"the account {user['name']} ({user['role']}) is {what}")
