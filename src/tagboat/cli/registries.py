"""`tagboat registries`, and the commands below it."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from msgspec import Struct

from tagboat.cli import complete, show
from tagboat.cli.client import LONG_TIMEOUT_S, ApiObject
from tagboat.cli.fields import show_fields
from tagboat.cli.list_group import ListGroup
from tagboat.cli.names import find_registry
from tagboat.cli.options import JsonOption, YesOption, connect
from tagboat.cli.prompts import confirm, prompt_secret, read_text_file
from tagboat.core.shell_words import shell_words

REGISTRIES_ADD_HELP = """Add a registry.

It is not contacted yet; 'tagboat registries test NAME' does that. For Gitea and Forgejo, for
instance:

\b
  tagboat registries add forgejo https://git.example.com --kind gitea \\
      --username deploy --password-file token.txt

For a registry whose passwords expire, such as Amazon ECR, the server runs a
command for each new one:

\b
  tagboat registries add ecr https://1234.dkr.ecr.eu-central-1.amazonaws.com \\
      --username AWS --password-command 'aws ecr get-login-password'
"""
# What to do is read on a phone as well, also where the output goes to a file.
_DETAIL_WIDTH = 80
# rich would load for each error of usage.
app = typer.Typer(cls=ListGroup, invoke_without_command=True, rich_markup_mode=None)
RegistryArg = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="The registry's name.", autocompletion=complete.registry_names
    ),
]
# A Literal, not an enum: usage errors list its values in plain.
RegistryKindWord = Literal["gitea", "oci"]
_KIND_OPTION = typer.Option(
    "--kind", metavar="KIND", help="gitea (Gitea, Forgejo) or oci (all others)."
)
UsernameOption = Annotated[
    str | None,
    typer.Option(
        "--username",
        metavar="USER",
        help="Log in as this user; type the password unseen, or pipe it in.",
    ),
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="A file with the password or token.",
    ),
]
PasswordCommandOption = Annotated[
    str | None,
    typer.Option(
        "--password-command",
        metavar="CMD",
        help="A command that prints the password; the server runs it, without a shell.",
    ),
]
DockerConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--docker-config",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Use the login of a Docker config.json, such as ~/.docker/config.json.",
    ),
]
CaCertOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-cert",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Certificates (PEM) to trust in addition to the system's.",
    ),
]


@app.callback()
def registries_group(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """List registries that need a login, a kind or certificates.

    All others, such as public ones, need no entry here.
    """
    if ctx.invoked_subcommand is None:
        registries_list(as_json=as_json)


@app.command("ls", hidden=True)
@app.command("list")
def registries_list(*, as_json: JsonOption = False) -> None:
    """List the registries that were added."""
    items = connect().items("/api/registries")
    if as_json:
        show.as_json(items)
    elif items:
        show.table(
            ("registry", "url", "kind", "username", "certificates"),
            (
                (
                    item["name"],
                    item["url"],
                    item["kind"],
                    item["username"],
                    "none: plain HTTP"
                    if item["url"].startswith("http://")
                    else "the system's and its own"
                    if item["ca_cert"]
                    else "the system's",
                )
                for item in items
            ),
        )
    else:
        show.line(
            "There is no registry yet ('tagboat registries add' adds one). "
            "A registry without login needs none."
        )


@app.command("create", help=REGISTRIES_ADD_HELP, hidden=True)
@app.command("add", help=REGISTRIES_ADD_HELP)
def registries_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name here.")],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="https://HOST, or http://HOST for plain HTTP.")
    ],
    *,
    kind: Annotated[RegistryKindWord, _KIND_OPTION] = "oci",
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    password_command: PasswordCommandOption = None,
    docker_config: DockerConfigOption = None,
    ca_cert: CaCertOption = None,
    as_json: JsonOption = False,
) -> None:
    """See REGISTRIES_ADD_HELP."""
    # A change may keep the user; a new registry has none yet.
    if password_file is not None and username is None:
        raise typer.BadParameter("is needed with --password-file", param_hint="--username")
    login = GivenLogin(username, password_file, password_command, docker_config)
    login.refuse_two()
    client = connect()
    given = {"name": name, "url": url, "kind": kind, **_certificates(ca_cert), **login.fields()}
    _show_saved(client.post("/api/registries", given), "added", as_json=as_json)


@app.command("edit", hidden=True)
@app.command("change")
def registries_change(
    name: RegistryArg,
    *,
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="Its new name.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="Its new URL.")] = None,
    kind: Annotated[RegistryKindWord | None, _KIND_OPTION] = None,
    username: UsernameOption = None,
    password_file: PasswordFileOption = None,
    password_command: PasswordCommandOption = None,
    docker_config: DockerConfigOption = None,
    ca_cert: CaCertOption = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Forget the password, or its command.")
    ] = False,
    no_ca_cert: Annotated[
        bool, typer.Option("--no-ca-cert", help="Trust the system's certificates only.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Change fields of a registry, such as an expired password."""
    login = GivenLogin(username, password_file, password_command, docker_config)
    login.refuse_two()
    if no_password and (password_file or password_command or docker_config):
        raise typer.BadParameter("contradicts a new password", param_hint="--no-password")
    if no_ca_cert and ca_cert:
        raise typer.BadParameter("contradicts --ca-cert", param_hint="--no-ca-cert")
    fields = {"name": new_name, "url": url, "kind": kind}
    given: dict[str, str | None] = {
        field: value for field, value in fields.items() if value is not None
    }
    given |= {"password": None, "password_command": ""} if no_password else {}
    given |= {"ca_cert": ""} if no_ca_cert else {}
    if no_password and username is not None:
        # Another user, without a password to ask for.
        given["username"], login = username, GivenLogin()
    if not given and ca_cert is None and login == GivenLogin():
        raise typer.BadParameter(
            "say what to change, such as --password-file; --help lists it all", param_hint="OPTIONS"
        )
    client = connect()
    # A wrong name is an error before a password is typed.
    path = f"/api/registries/{find_registry(client, name)['id']}"
    given |= {**_certificates(ca_cert), **login.fields()}
    _show_saved(client.patch(path, given), "changed", as_json=as_json)


@app.command("show")
def registries_show(name: RegistryArg, *, as_json: JsonOption = False) -> None:
    """Show all fields of a registry, except its password."""
    found = find_registry(connect(), name)
    if as_json:
        show.as_json(found)
    else:
        show_fields(found)


@app.command("test")
def registries_test(name: RegistryArg, *, as_json: JsonOption = False) -> None:
    """Test what works: connection, TLS, login, listing, pulling.

    Says what to do about the rest. Exit code 1 if anything does not work.
    """
    client = connect()
    path = f"/api/registries/{find_registry(client, name)['id']}/test"
    answer = client.post(path, timeout_s=LONG_TIMEOUT_S)
    if as_json:
        show.as_json(answer)
    else:
        show.table(
            ("check", "", "detail"),
            (
                (check["name"], "ok" if check["ok"] else "wrong", check["detail"])
                for check in answer["checks"]
            ),
            max_width=_DETAIL_WIDTH,
        )
    if not answer["ok"]:
        raise typer.Exit(1)


@app.command("delete", hidden=True)
@app.command("remove")
def registries_remove(
    name: RegistryArg, *, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Remove a registry and its password."""
    client = connect()
    found = find_registry(client, name)
    if not yes:
        confirm(
            f"The registry {name} is removed, with its password.",
            f"the registry {name} would be removed",
        )
    client.delete(f"/api/registries/{found['id']}")
    if as_json:
        show.as_json(found)
    else:
        show.line(f"the registry {name} is removed")


class GivenLogin(Struct, frozen=True):
    """The options that say how to log in, None for each that was not given."""

    username: str | None = None
    password_file: Path | None = None
    password_command: str | None = None
    docker_config: Path | None = None

    def refuse_two(self) -> None:
        """Raise BadParameter if the password would come from two places."""
        if self.docker_config is not None and self != GivenLogin(docker_config=self.docker_config):
            raise typer.BadParameter(
                "holds user and password itself: give either it or those",
                param_hint="--docker-config",
            )
        if self.password_file is not None and self.password_command is not None:
            raise typer.BadParameter(
                "prints the password: give either it or --password-file",
                param_hint="--password-command",
            )

    def fields(self) -> dict[str, str]:
        """Return the fields of the API; ask for a password that is in no file."""
        if self.docker_config is not None:
            return {"docker_config": read_text_file(self.docker_config)}
        given = {"username": self.username, "password_command": self.password_command}
        fields = {name: value for name, value in given.items() if value is not None}
        # An empty command takes the stored one away, and no password is asked for.
        is_asked = self.username is not None or self.password_file is not None
        if is_asked and self.password_command is None:
            fields["password"] = prompt_secret("password", self.password_file)
        return fields


def _certificates(ca_cert: Path | None) -> dict[str, str]:
    return {} if ca_cert is None else {"ca_cert": read_text_file(ca_cert)}


def _show_saved(registry: ApiObject, what: str, *, as_json: bool) -> None:
    if as_json:
        show.as_json(registry)
    else:
        name = registry["name"]
        test = f"tagboat registries test {shell_words(name)}"
        show.line(f"the registry {name} is {what}. Test it: {test}")
