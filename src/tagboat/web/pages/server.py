"""The server: its health in words, its disks, and the networks and volumes that it has made."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.responses import Response

from tagboat import __version__
from tagboat.core.errors import EngineError
from tagboat.web.routing import PageRouter
from tagboat.web.server_words import disk_sentence, health_lines, health_sentence, size_words
from tagboat.web.visits import Visit

_SERVER = "/server"
_NETWORKS_WITHIN_S = 3.0
# The engine walks through all volumes for it, and only if a person asks.
_SPACE_WITHIN_S = 60.0
Looked = TypeVar("Looked")

router = PageRouter()


@router.page(_SERVER)
async def server_page(visit: Visit) -> Response:
    """Show the server; what has to be looked up comes afterwards, or at once if asked for."""
    # Engine and ingress may hang: the page must not wait for them.
    state = await _state(visit) if visit.query("look") else None
    return visit.show(
        "server.html",
        {
            "state": state,
            "version": __version__,
            "public_url": visit.site.hosts.public_url,
            **_WORDS,
        },
    )


@router.page(f"{_SERVER}/state")
async def server_state(visit: Visit) -> Response:
    """Return the part of the page that had to be looked up."""
    return visit.show("server_state.html", {"state": await _state(visit), **_WORDS})


_WORDS: dict[str, object] = {
    "health_lines": health_lines,
    "health_sentence": health_sentence,
    "disk_sentence": disk_sentence,
    "size_words": size_words,
}


async def _state(visit: Visit) -> dict[str, object]:
    machine = visit.operations.machine
    health, disks, networks = await asyncio.gather(
        visit.operations.health.check(),
        machine.disks(),
        _soon_or_why(_NETWORKS_WITHIN_S, machine.networks()),
    )
    is_space_asked = visit.query("look") == "space"
    taken = await _soon_or_why(_SPACE_WITHIN_S, machine.space_taken()) if is_space_asked else None
    return {"health": health, "disks": disks, "networks": networks, "taken": taken}


async def _soon_or_why(limit_s: float, work: Awaitable[Looked]) -> Looked | str:
    """Return what the engine says, or why it says nothing."""
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except TimeoutError:
        return f"The engine did not answer within {limit_s:.0f} s."
    except EngineError as error:
        return str(error)
