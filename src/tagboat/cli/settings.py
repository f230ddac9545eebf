"""`tagboat settings`, and `get` and `set` below it."""

import json

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.fields import value_of
from tagboat.core.errors import NotFoundError


def settings(client: Client, *, as_json: bool) -> int:
    """List the settings."""
    found = client.get("/api/settings")
    if as_json:
        show.as_json(found)
    else:
        show.table(("setting", "value"), ((name, _text(value)) for name, value in found.items()))
    return 0


def get(client: Client, name: str, *, as_json: bool) -> int:
    """Show one setting."""
    found = _known(client, name)
    if as_json:
        show.as_json({name: found[name]})
    else:
        show.line(_text(found[name]))
    return 0


def put(client: Client, name: str, text: str, *, as_json: bool) -> int:
    """Change one setting."""
    _known(client, name)
    saved = client.patch("/api/settings", {name: value_of(text)})
    if as_json:
        show.as_json(saved)
    else:
        show.line(f"{name} is {_text(saved[name])}")
    return 0


def _known(client: Client, name: str) -> Answer:
    found = client.get("/api/settings")
    if name not in found:
        raise NotFoundError(f"there is no setting {name!r}; there are: {', '.join(found)}")
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
