"""The server: its health in words, its disks, and the networks and volumes that it has made."""

import asyncio

from starlette.responses import Response

from tagboat import __version__
from tagboat.core.errors import EngineError
from tagboat.operations.queries.machine import ProjectNetwork, SpaceTaken
from tagboat.web.routing import PageRouter
from tagboat.web.server_words import disk_sentence, health_lines, health_sentence, size_words
from tagboat.web.visits import Visit

_SERVER_PATH = "/server"
_NETWORKS_WITHIN_S = 3.0
# The engine walks through all volumes for it, and only if a person asks.
_SPACE_WITHIN_S = 60.0

router = PageRouter()


@router.page(_SERVER_PATH)
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


@router.page(f"{_SERVER_PATH}/state")
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
        visit.operations.health.check(), machine.disks(), _networks(visit)
    )
    taken = await _space(visit) if visit.query("look") == "space" else None
    return {"health": health, "disks": disks, "networks": networks, "taken": taken}


async def _networks(visit: Visit) -> list[ProjectNetwork] | str:
    """Return the networks, or why they cannot be listed."""
    try:
        async with asyncio.timeout(_NETWORKS_WITHIN_S):
            return await visit.operations.machine.networks()
    except TimeoutError:
        return f"The engine did not answer within {_NETWORKS_WITHIN_S:.0f} s."
    except EngineError as error:
        return str(error)


async def _space(visit: Visit) -> SpaceTaken | str:
    """Return what images and volumes take, or why that is not known."""
    try:
        async with asyncio.timeout(_SPACE_WITHIN_S):
            return await visit.operations.machine.space_taken()
    except TimeoutError:
        return f"The engine needs longer than {_SPACE_WITHIN_S:.0f} s to add it up."
    except EngineError as error:
        return str(error)
