"""`tagboat webhook sign`, `signature` and `unsign`: signatures that calls must have."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from tagboat.cli import complete, show
from tagboat.cli.client import Client
from tagboat.cli.names import find_webhook
from tagboat.cli.options import JsonOption, connect
from tagboat.cli.prompts import prompt_secret
from tagboat.core.project_webhook import SignatureKind

WEBHOOK_SIGN_HELP = """Require a signature of a URL's calls; others get a 404.

A signature proves that the sender knows a second secret, in addition to the one in the URL. Give
the same secret to the sender. Here it is typed unseen, piped in, or read from a file.

\b
  Gitea, Forgejo  tagboat webhook sign hmac-sha256
  GitHub          tagboat webhook sign hmac-sha256
  Nexus           tagboat webhook sign hmac-sha1
  Harbor          tagboat webhook sign header --header Authorization
  JFrog           tagboat webhook sign header --header X-JFrog-Event-Auth

Without PROJECT and NAME it changes the URL for all images, with both that one:

\b
  openssl rand -hex 24 > ci.secret
  tagboat webhook sign hmac-sha256 app ci --secret-file ci.secret
"""
app = typer.Typer(rich_markup_mode=None)
SignedProjectArg = Annotated[
    str | None,
    typer.Argument(
        metavar="PROJECT",
        help="A URL of this project, not the one for all.",
        autocompletion=complete.project_names,
    ),
]
SignedWebhookArg = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="The URL's name.", autocompletion=complete.webhook_names),
]
_GLOBAL_PATH = "/api/settings/webhook/signature"
_NO_SIGNATURE = {"kind": None, "header": None}
_SIGNATURE_WORDS = {
    "hmac-sha256": "an HMAC-SHA256 of their body, as Gitea, Forgejo and GitHub send it",
    "hmac-sha1": "an HMAC-SHA1 of their body, as Nexus sends it",
}


class WebhookName(NamedTuple):
    """The project and the name of a webhook URL for one project."""

    project: str
    name: str


@app.command("sign", help=WEBHOOK_SIGN_HELP)
def webhook_sign(
    kind: Annotated[
        SignatureKind, typer.Argument(metavar="KIND", help="How the sender signs, see above.")
    ],
    project: SignedProjectArg = None,
    name: SignedWebhookArg = None,
    *,
    header: Annotated[
        str | None,
        typer.Option(
            "--header", metavar="HEADER", help="The header with the secret, for KIND header."
        ),
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A file with the secret.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """See WEBHOOK_SIGN_HELP."""
    hook = _chosen_webhook(project, name)
    if kind is SignatureKind.HEADER and header is None:
        raise typer.BadParameter(
            "name the header with the secret: --header Authorization", param_hint="KIND"
        )
    if kind is not SignatureKind.HEADER and header is not None:
        raise typer.BadParameter(f"KIND {kind} has a fixed header", param_hint="--header")
    client = connect()
    # A wrong name is an error before a secret is typed.
    path = _GLOBAL_PATH if hook is None else _webhook_path(client, hook)
    # Never an option: other users of the machine see the arguments of a program.
    secret = prompt_secret("shared secret", secret_file)
    signature = {"kind": kind.value, "header": header, "secret": secret}
    saved = (
        client.put(path, signature)
        if hook is None
        # PATCH answers with the whole webhook.
        else client.patch(path, {"signature": signature})["signature"]
    )
    _show_signature(hook, saved, as_json=as_json)


@app.command("signature")
def webhook_signature(
    project: SignedProjectArg = None, name: SignedWebhookArg = None, *, as_json: JsonOption = False
) -> None:
    """Show which signature a URL's calls must have.

    Without PROJECT and NAME: of the URL for all images. The secret is never shown.
    """
    hook = _chosen_webhook(project, name)
    client = connect()
    found = client.get(_GLOBAL_PATH) if hook is None else find_webhook(client, *hook)["signature"]
    _show_signature(hook, found or _NO_SIGNATURE, as_json=as_json)


@app.command("unsign")
def webhook_unsign(
    project: SignedProjectArg = None, name: SignedWebhookArg = None, *, as_json: JsonOption = False
) -> None:
    """Accept a URL's calls without a signature again.

    Without PROJECT and NAME: of the URL for all images.
    """
    hook = _chosen_webhook(project, name)
    client = connect()
    if hook is None:
        client.delete(_GLOBAL_PATH)
    else:
        client.patch(_webhook_path(client, hook), {"signature": None})
    _show_signature(hook, _NO_SIGNATURE, as_json=as_json)


def _chosen_webhook(project: str | None, name: str | None) -> WebhookName | None:
    """Return the webhook of a project, None for the URL for all images."""
    if project is None or name is None:
        if project is not None:
            raise typer.BadParameter(
                "which of the project's URLs? 'tagboat webhook list' shows them", param_hint="NAME"
            )
        return None
    return WebhookName(project, name)


def _webhook_path(client: Client, hook: WebhookName) -> str:
    return f"/api/webhooks/{find_webhook(client, *hook)['id']}"


def _show_signature(
    hook: WebhookName | None, found: Mapping[str, str | None], *, as_json: bool
) -> None:
    if as_json:
        show.as_json(found)
        return
    which = (
        "the URL for all images" if hook is None else f"the webhook {hook.name} of {hook.project}"
    )
    if found["kind"] is None:
        show.line(f"calls of {which} need no signature")
    else:
        words = _SIGNATURE_WORDS.get(found["kind"]) or f"the secret in the header {found['header']}"
        show.line(f"calls of {which} must have {words}; others are answered 404")
