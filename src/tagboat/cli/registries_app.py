"""The commands below `tagboat registries`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tagboat.cli import complete
from tagboat.cli.asking import Json, Yes, add_list, ask

ADD = """Make a registry known.

Nothing is asked of it yet; 'tagboat registries test NAME' does that. For Gitea and Forgejo, for instance:

\b
  tagboat registries add forgejo https://git.example.com --kind gitea \\
      --username deploy --password-file token.txt
"""
app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The registry's name.", autocompletion=complete.registries),
]
Kind = Literal["gitea", "oci"]
_KIND = typer.Option("--kind", metavar="KIND", help="gitea (Gitea, Forgejo) or oci (all others).")
Username = Annotated[
    str | None,
    typer.Option(
        "--username",
        metavar="USER",
        help="Log in as this user; the password is typed unseen, or piped in.",
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="The file that the password or token is in.",
    ),
]
DockerConfig = Annotated[
    Path | None,
    typer.Option(
        "--docker-config",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="A Docker config.json whose login is taken instead, such as ~/.docker/config.json.",
    ),
]
CaCert = Annotated[
    Path | None,
    typer.Option(
        "--ca-cert",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Certificates (PEM) to trust beside the system's.",
    ),
]


@app.callback()
def list_registries(ctx: typer.Context, *, json: Json = False) -> None:
    """List the registries that need a login, a kind or certificates.

    All others, such as public ones, need no entry here.
    """
    if ctx.invoked_subcommand is None:
        _list(json=json)


def _list(*, json: bool) -> None:
    from tagboat.cli.registries import registries as command

    ask(lambda client: command(client, as_json=json))


add_list(app, _list, "List the registries that are known.")


@app.command("add", help=ADD)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.")],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="https://HOST, or http://HOST for plain HTTP.")
    ],
    *,
    kind: Annotated[Kind, _KIND] = "oci",
    username: Username = None,
    password_file: PasswordFile = None,
    docker_config: DockerConfig = None,
    ca_cert: CaCert = None,
    json: Json = False,
) -> None:
    """See ADD."""
    from tagboat.cli.registries import Login
    from tagboat.cli.registries import add as command

    if password_file is not None and username is None:
        raise typer.BadParameter("is needed with --password-file", param_hint="--username")
    login = Login(username, password_file, _alone(docker_config, username, password_file))
    ask(
        lambda client: command(
            client, {"name": name, "url": url, "kind": kind}, login, ca_cert, as_json=json
        )
    )


@app.command("change")
def change(
    name: Name,
    *,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Where it is now.")
    ] = None,
    kind: Annotated[Kind | None, _KIND] = None,
    username: Username = None,
    password_file: PasswordFile = None,
    docker_config: DockerConfig = None,
    ca_cert: CaCert = None,
    json: Json = False,
) -> None:
    """Change what is given, such as a password that has run out."""
    from tagboat.cli.registries import Login
    from tagboat.cli.registries import change as command

    login = Login(username, password_file, _alone(docker_config, username, password_file))
    given = {field: value for field, value in (("url", url), ("kind", kind)) if value is not None}
    if not given and login == Login() and ca_cert is None:
        raise typer.BadParameter(
            "say what to change, such as --password-file; --help lists it all", param_hint="OPTIONS"
        )
    ask(lambda client: command(client, name, given, login, ca_cert, as_json=json))


@app.command("test")
def check(name: Name, *, json: Json = False) -> None:
    """Try what works: reaching it, TLS, login, listing, pulling.

    Says in words what to do about the rest. Exit code 1 if anything does not work.
    """
    from tagboat.cli.registries import check as command

    ask(lambda client: command(client, name, as_json=json))


@app.command("remove")
def remove(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Forget a registry and its password."""
    from tagboat.cli.registries import remove as command

    ask(lambda client: command(client, name, sure=yes, as_json=json))


def _alone(docker_config: Path | None, *others: object) -> Path | None:
    if docker_config is not None and any(other is not None for other in others):
        raise typer.BadParameter(
            "brings user and password itself: give either it or those", param_hint="--docker-config"
        )
    return docker_config
