"""`tagboat webhook url` and `tagboat webhook regenerate`."""

import sys

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.core.errors import TagboatError

_QUESTION = "The old URL stops working at once, for every sender that has it. Go on?"


def webhook_url(client: Client, *, as_json: bool) -> int:
    """Show the secret URL."""
    return _show(client.get("/api/settings/webhook"), as_json=as_json)


def webhook_regenerate(client: Client, *, sure: bool, as_json: bool) -> int:
    """Make a new secret URL and show it."""
    if not sure and not _confirmed():
        raise TagboatError("nothing was changed")
    return _show(client.post("/api/settings/webhook/regenerate"), as_json=as_json)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise TagboatError("the old URL would stop working at once; say --yes if that is meant")
    # Not input(), nor typer.confirm(): both write to stdout, which is for the URL alone.
    sys.stderr.write(f"{_QUESTION} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _show(answer: Answer, *, as_json: bool) -> int:
    if as_json:
        show.as_json(answer)
    else:
        show.line(answer["url"])
    return 0
