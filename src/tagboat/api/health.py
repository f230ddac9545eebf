"""Whether the server, and what it stands on, is well. Anybody may ask, so it says no more than that."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request, Response

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.parts import ApiParts, Parts
from tagboat.core.config import INSTALLATION_ID
from tagboat.core.errors import IngressUnavailableError, TagboatError

HEALTH_PATH = "/api/health"
TIMEOUT_S = 2.0

router = APIRouter(tags=["health"])
log = structlog.get_logger("tagboat.health")

_responses: Responses = {500: problems()[500], 503: {"model": schemas.Health, "description": "The database is out of reach."}}


class Rounds:
    """Rounds of checks. Anybody may ask, as often as they like: all who ask during a round are told what it finds."""

    def __init__(self) -> None:
        self._under_way: asyncio.Task[dict[str, str]] | None = None
        self._reading: asyncio.Future[object] | None = None

    async def ask(self, parts: ApiParts) -> dict[str, str]:
        """What the round under way finds, or a new one."""
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._round(parts))
            self._under_way.add_done_callback(self._end)
        # Whoever hangs up takes nothing from the others.
        return await asyncio.shield(self._under_way)

    async def _round(self, parts: ApiParts) -> dict[str, str]:
        database, engine, ingress = await asyncio.gather(
            _check("database", self._read(parts)),
            _check("engine", parts.engine.version()),
            _check("ingress", _ask(parts.ingress_trouble)) if parts.ingress_trouble else _none(),
        )
        return {"database": database, "engine": engine, "ingress": ingress}

    async def _read(self, parts: ApiParts) -> None:
        """Read something, unless the database has yet to answer the round before: then that is waited for."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(parts.store.read(lambda reader: reader.setting(INSTALLATION_ID)))
            self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())  # whether or not anybody waits
        await asyncio.shield(self._reading)

    def _end(self, _: asyncio.Task[dict[str, str]]) -> None:
        self._under_way = None


@router.get(HEALTH_PATH, responses=_responses)
async def get_health(request: Request, parts: Parts, response: Response) -> schemas.Health:
    """How the server is; without its database it is of no use, without engine or ingress it still takes pushes in."""
    rounds: Rounds = request.app.state.health
    checks = await rounds.ask(parts)
    well = checks["database"] == "ok"
    response.status_code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return schemas.Health(status="ok" if well else "unavailable", version=parts.version, checks=checks)


async def _ask(trouble: Callable[[], Awaitable[str | None]]) -> None:
    if said := await trouble():
        raise IngressUnavailableError(said)


async def _none() -> str:
    return "none"


async def _check(name: str, work: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await work
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:.0f} s"
    except TagboatError as error:
        log.warning("not well", action="check", check=name, reason=str(error))
        return "out of reach; the server's log says why"
    return "ok"
