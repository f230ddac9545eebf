"""`tagboat login` and `tagboat logout`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from tagboat.cli import show
from tagboat.cli.client import Client, is_this_machine
from tagboat.cli.context import GO_BEFORE_LOGIN, ServerAddress, current_context
from tagboat.cli.login_file import StoredLogin, login_path, write_login
from tagboat.cli.options import JsonOption
from tagboat.cli.prompts import prompt_line, prompt_secret
from tagboat.core.errors import TagboatError


def login_command(
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="The server, such as https://tagboat.example.com."),
    ] = None,
    *,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A file with the token; without it, type it unseen, or pipe it in.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Use another machine's server from now on, with a token of it.

    An admin makes one there with 'tagboat tokens create NAME'. URL and token are kept in
    ~/.config/tagboat/login.json, which only you can read. TAGBOAT_URL, TAGBOAT_TOKEN and
    TAGBOAT_DATA_DIR of the environment go first.
    """
    from tagboat.setting_values import parse_bearer_token, parse_http_url

    context = current_context()
    given = url if url is not None else prompt_line("URL")
    try:
        server_url = parse_http_url(given or "-").removesuffix("/api")
        token = parse_bearer_token(prompt_secret("token", token_file))
    except ValueError as error:
        raise TagboatError(f"login: {error}") from None
    if server_url.startswith("http://") and not is_this_machine(
        urlsplit(server_url).hostname or ""
    ):
        show.progress("warning: without https, the token crosses the network unencrypted")
    # Tried before it is kept: a mistyped token would fail each later command.
    caller = Client(ServerAddress(server_url, token, "the URL")).get("/api/me")
    write_login(login_path(context.environ), StoredLogin(server_url, token))
    # As `CommandContext.server` has it.
    first = [name for name in GO_BEFORE_LOGIN if context.environ.get(name)]
    if first:
        show.progress(
            f"warning: commands use the login only without {' and '.join(first)}, which"
            f" {'go' if len(first) > 1 else 'goes'} first: unset {' '.join(first)}"
        )
    if as_json:
        show.as_json(caller)
        return
    show.line(
        f"logged in at {server_url} as {caller['name']}, with the role {caller['role']}."
        + ("" if first else " Commands use it until 'tagboat logout'")
    )


def logout_command(*, as_json: JsonOption = False) -> None:
    """Forget the server and the token of 'tagboat login'.

    The token itself holds on; 'tagboat tokens delete NAME' ends it.
    """
    path = login_path(current_context().environ)
    try:
        path.unlink()
    except FileNotFoundError:
        raise TagboatError("nobody is logged in") from None
    if as_json:
        show.as_json({"removed": str(path)})
        return
    show.line("logged out; the token holds until 'tagboat tokens delete NAME'")
