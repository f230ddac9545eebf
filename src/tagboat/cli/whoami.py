"""`tagboat whoami`."""

from tagboat.cli import show
from tagboat.cli.context import current_context
from tagboat.cli.options import JsonOption, connect
from tagboat.cli.users import show_limit


def whoami_command(*, as_json: JsonOption = False) -> None:
    """Show which server commands use, as whom, and with which role."""
    found = connect().get("/api/me")
    if as_json:
        show.as_json(found)
        return
    # Only deployers can be limited.
    limit = "" if found["projects"] is None else f", for the projects {show_limit(found)}"
    url = current_context().server().url
    show.line(f"{found['name']} at {url}, with the role {found['role']}{limit}")
