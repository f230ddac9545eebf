"""Pages that say what is wrong, and where to go from there."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from tagboat.http.problem import problem_headers
from tagboat.web.visits import Visit

# No code alone: a person at night needs the next step.
_SAID: Mapping[int, tuple[str, str]] = {
    403: ("Not allowed", "Your role does not allow this."),
    404: ("Nothing here", "There is no page at this address. It may have been deleted."),
    405: ("Not possible here", "This address takes forms of its own page only."),
    409: ("Not possible now", "It conflicts with something that exists."),
    410: ("Deleted", "This has been deleted."),
    421: (
        "Unknown host",
        "Tagboat does not answer to this host name. Add it to TAGBOAT_HOSTS and restart Tagboat.",
    ),
    422: ("Not understood", "A value in the address or the form cannot be used."),
    500: ("A fault inside Tagboat", "The log of the server says more."),
    503: ("Not available now", "Something that this page needs does not answer."),
}
"""Title and sentence by status, for errors of which nothing more precise is known."""


def error_page(
    visit: Visit,
    status: HTTPStatus,
    said: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the page of an error; `said` is a sentence about this one, empty for the usual."""
    title, usual = _SAID.get(status, (status.phrase, "The page cannot be shown."))
    response = visit.show(
        "error.html",
        {"title": title, "status": int(status), "said": sentence_of(said) or usual},
        status=status,
    )
    response.headers.update({**problem_headers(status), **(headers or {})})
    return response


def sentence_of(said: str) -> str:
    """Return the text of an error as a sentence: they are written to follow a colon."""
    text = said[:1].upper() + said[1:]
    return text if not text or text.endswith((".", "?", "!", ":")) else f"{text}."
