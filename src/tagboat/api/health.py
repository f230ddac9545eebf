"""Whether the server, and what it stands on, is well. Anybody may ask, so it says no more than that."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Response

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.parts import Parts
from tagboat.core.config import INSTALLATION_ID
from tagboat.core.errors import IngressUnavailableError, TagboatError

HEALTH_PATH = "/api/health"
TIMEOUT_S = 2.0

router = APIRouter(tags=["health"])
log = structlog.get_logger("tagboat.health")

_responses: Responses = {500: problems()[500], 503: {"model": schemas.Health, "description": "The database is out of reach."}}


@router.get(HEALTH_PATH, responses=_responses)
async def get_health(parts: Parts, response: Response) -> schemas.Health:
    """How the server is; without its database it is of no use, without engine or ingress it still takes pushes in."""
    database, engine, ingress = await asyncio.gather(
        _check("database", parts.store.read(lambda reader: reader.setting(INSTALLATION_ID))),
        _check("engine", parts.engine.version()),
        _check("ingress", _ask(parts.ingress_trouble)) if parts.ingress_trouble else _none(),
    )
    well = database == "ok"
    response.status_code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return schemas.Health(
        status="ok" if well else "unavailable",
        version=parts.version,
        checks={"database": database, "engine": engine, "ingress": ingress},
    )


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
