"""The commands below `tagboat webhook`."""

from pathlib import Path
from typing import Annotated

import typer

from tagboat.cli import complete
from tagboat.cli.asking import Json, OneProject, Project, Yes, ask
from tagboat.core.project_webhook import SignatureKind

SIGN = """Demand a signature of a URL's calls; any other gets a 404.

A signature shows that a call comes from who shares a secret with you, beside the one in the URL. Give the same secret to
the sender. Here it is typed unseen, piped in, or read from a file.

\b
  Gitea, Forgejo  tagboat webhook sign hmac-sha256
  GitHub          tagboat webhook sign hmac-sha256
  Nexus           tagboat webhook sign hmac-sha1
  Harbor          tagboat webhook sign header --header Authorization
  JFrog           tagboat webhook sign header --header X-JFrog-Event-Auth

Without PROJECT and NAME it is about the URL for all images, with both about that one:

\b
  openssl rand -hex 24 > ci.secret
  tagboat webhook sign hmac-sha256 app ci --secret-file ci.secret
"""

app = typer.Typer(
    help="""Show, make, sign or revoke the URLs that registries call.

    One URL takes news of all images. Others take news of one project's image only, for senders that you trust with no more;
    they have names. Each URL holds its secret: treat it as a password.
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
HookName = Annotated[
    str, typer.Argument(metavar="NAME", help="The webhook's name.", autocompletion=complete.hooks)
]
Registry = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="NAME",
        help="For a sender that does not say where it is.",
        autocompletion=complete.registries,
    ),
]
OwnProject = Annotated[
    str | None,
    typer.Argument(
        metavar="PROJECT",
        help="Of this project's URLs, not the one for all.",
        autocompletion=complete.projects,
    ),
]
OwnName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="The one of this name.", autocompletion=complete.hooks),
]


@app.command("url")
def url(registry: Registry = None, *, json: Json = False) -> None:
    """Show the URL for all images, for your forge, registry or CI.

    Zot, Nexus and some others do not say on which host their images are. With several registries, give each its own URL:
    --registry NAME.
    """
    from tagboat.cli.webhook import webhook_url as command

    ask(lambda client: command(client, registry, as_json=json))


@app.command("regenerate")
def regenerate(*, yes: Yes = False, json: Json = False) -> None:
    """Make the URL for all images anew; the old one is dead at once."""
    from tagboat.cli.webhook import webhook_regenerate as command

    ask(lambda client: command(client, sure=yes, as_json=json))


@app.command("ls", hidden=True)
@app.command("list")
def list_hooks(project: OneProject = None, *, json: Json = False) -> None:
    """List the URLs for one project's image only.

    Without their secrets, and with how calls of them must be signed.
    """
    from tagboat.cli.webhook import webhook_list as command

    ask(lambda client: command(client, project, as_json=json))


@app.command("add")
def add(
    project: Project,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What to call it, such as the sender's name.")
    ],
    *,
    json: Json = False,
) -> None:
    """Make a URL for one project's image only.

    It is shown this once. Of what calls of it name, other images are skipped.
    """
    from tagboat.cli.webhook import webhook_add as command

    ask(lambda client: command(client, project, name, as_json=json))


@app.command("rotate")
def rotate(project: Project, name: HookName, *, yes: Yes = False, json: Json = False) -> None:
    """Make a project's URL anew; the old one is dead at once."""
    from tagboat.cli.webhook import webhook_rotate as command

    ask(lambda client: command(client, project, name, sure=yes, as_json=json))


@app.command("revoke")
def revoke(project: Project, name: HookName, *, yes: Yes = False, json: Json = False) -> None:
    """Take a project's URL away: calls of it are answered 404."""
    from tagboat.cli.webhook import webhook_revoke as command

    ask(lambda client: command(client, project, name, sure=yes, as_json=json))


@app.command("sign", help=SIGN)
def sign(
    kind: Annotated[
        SignatureKind, typer.Argument(metavar="KIND", help="How the sender signs, as above.")
    ],
    project: OwnProject = None,
    name: OwnName = None,
    *,
    header: Annotated[
        str | None,
        typer.Option(
            "--header",
            metavar="HEADER",
            help="The header that the secret comes in, of KIND header.",
        ),
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The file that the secret is in.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """See SIGN."""
    from tagboat.cli.signatures import sign as command

    own = _own(project, name)
    if kind is SignatureKind.HEADER and header is None:
        raise typer.BadParameter(
            "say which header the secret comes in: --header Authorization", param_hint="KIND"
        )
    if kind is not SignatureKind.HEADER and header is not None:
        raise typer.BadParameter(
            f"signatures of KIND {kind} come in headers of their own", param_hint="--header"
        )
    ask(
        lambda client: command(
            client, own, kind.value, header=header, file=secret_file, as_json=json
        )
    )


@app.command("signature")
def signature(project: OwnProject = None, name: OwnName = None, *, json: Json = False) -> None:
    """Show what signature a URL's calls must bear.

    Without PROJECT and NAME: of the URL for all images. The secret is never shown.
    """
    from tagboat.cli.signatures import signature as command

    own = _own(project, name)
    ask(lambda client: command(client, own, as_json=json))


@app.command("unsign")
def unsign(project: OwnProject = None, name: OwnName = None, *, json: Json = False) -> None:
    """Demand no signature of a URL's calls any more.

    Without PROJECT and NAME: of the URL for all images.
    """
    from tagboat.cli.signatures import unsign as command

    own = _own(project, name)
    ask(lambda client: command(client, own, as_json=json))


def _own(project: str | None, name: str | None) -> tuple[str, str] | None:
    """The project and the name of a URL of its own, None for the URL for all images."""
    if project is None or name is None:
        if project is not None:
            raise typer.BadParameter(
                "which of the project's URLs? 'tagboat webhook list' shows them", param_hint="NAME"
            )
        return None
    return project, name
