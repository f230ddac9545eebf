"""Errors of calls of the API, each one sentence that names the server and what to check."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from tagboat import __version__
from tagboat.cli.context import ServerAddress
from tagboat.core.errors import NotFoundError, TagboatError
from tagboat.core.shell_words import shell_words
from tagboat.data_dir import SERVER_FILE, server_runs
from tagboat.http.problem import NO_ADDRESS

if TYPE_CHECKING:
    from urllib.error import HTTPError

_TLS_ANSWERED_IN_CLEAR = "WRONG_VERSION_NUMBER"  # the name that OpenSSL gives to it
_TEMPORARY = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)


class ServerAwayError(TagboatError):
    """The server does not answer, or not now: it may be starting."""


class TokenRefusedError(TagboatError):
    """The token is missing or unknown to the server."""


class StaleVersionError(TagboatError):
    """A change was refused (412), because somebody else has changed the same thing since."""


class InvalidFieldsError(TagboatError):
    """A 422: `errors` maps each refused field to its message; `detail` is the sentence of all."""

    def __init__(self, detail: str, errors: Mapping[str, str]) -> None:
        each = "; ".join(f"{field}: {message}" for field, message in errors.items())
        # The sentence about one field holds its message already.
        super().__init__(f"{detail} ({each})" if len(errors) > 1 else detail)
        self.detail = detail
        self.errors = errors


def refused(server: ServerAddress, error: "HTTPError", body: bytes) -> TagboatError:
    """Return the error for an answer with a status that is not a success."""
    if error.code == HTTPStatus.UNAUTHORIZED:
        why = "does not accept the token" if server.token else "needs a token"
        return TokenRefusedError(
            f"the server at {server.url} {why}. Set TAGBOAT_TOKEN to a token of it, or log in with"
            f" 'tagboat login {shell_words(server.url)}'; 'tagboat tokens create NAME' there makes"
            " one"
        )
    # urllib would follow it with the token, and make a GET of a POST.
    if location := error.headers.get("location"):
        return TagboatError(
            f"{server.url} redirects to {location}. Set TAGBOAT_URL to the server itself"
        )
    problem = _read_problem(body)
    if problem is None:
        answered = f"the server at {server.url} answered {error.code} {error.reason}"
        problem = InvalidFieldsError(f"{answered}. Is {server.named_by} right?", {})
    if error.code == HTTPStatus.NOT_FOUND:
        if problem.detail == NO_ADDRESS:
            return NotFoundError(
                f"there is nothing at {error.url.partition('?')[0]}. Is {server.named_by} right, "
                f"and is the server as new as this command ({__version__})?"
            )
        # An unknown id: the address would only distract from it.
        return NotFoundError(problem.detail.rstrip("."))
    if problem.errors:
        return problem
    kind = ServerAwayError if error.code in _TEMPORARY else TagboatError
    return (StaleVersionError if error.code == HTTPStatus.PRECONDITION_FAILED else kind)(
        str(problem)
    )


def unreachable(server: ServerAddress, error: OSError, timeout_s: float) -> ServerAwayError:
    """Return the error for a call that no answer came to, within `timeout_s` or at all."""
    reason = getattr(error, "reason", error)
    # urllib wraps the error of the socket, but not always.
    if isinstance(reason, TimeoutError):
        return ServerAwayError(
            f"the server at {server.url} did not answer within {timeout_s:.0f} s. "
            "Its log may say why"
        )
    # str() of an OSError begins with its number, which nobody needs.
    why = (reason.strerror if isinstance(reason, OSError) else None) or reason
    cannot = f"cannot connect to the server at {server.url} ({why})"
    if Path(server.named_by).name != SERVER_FILE:
        if getattr(reason, "reason", None) == _TLS_ANSWERED_IN_CLEAR:
            return ServerAwayError(
                f"the server at {server.url} does not use TLS."
                f" Must {server.named_by} begin with http://?"
            )
        return ServerAwayError(f"{cannot}. Does it run there, and is {server.named_by} right?")
    # The file with the address stays after a crash; the lock next to it does not.
    if server_runs(Path(server.named_by).parent):
        return ServerAwayError(
            f"{cannot}, though it is running: it may be starting, or too busy. Its log may say why"
        )
    return ServerAwayError(
        "the server is not running (it ended unexpectedly). Start it with 'tagboat serve'"
    )


def not_tagboat(server: ServerAddress) -> TagboatError:
    """Return the error for an answer that no Tagboat server gives."""
    return TagboatError(f"{server.url} is not a Tagboat server. Check {server.named_by}")


def _read_problem(body: bytes) -> InvalidFieldsError | None:
    """Return the sentence and the fields of a problem document (RFC 9457), None for others."""
    try:
        problem = json.loads(body)
        errors = {entry["field"]: entry["message"] for entry in problem.get("errors") or ()}
        return InvalidFieldsError(str(problem["detail"]), errors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
