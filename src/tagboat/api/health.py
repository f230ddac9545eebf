"""Whether the server, and what it stands on, is well: the one place where it is found out why not.

Anybody may ask. Why something is out is told to programs on this machine and to whoever shows a token, since it names sockets,
users and registries; all others are told what is out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request, Response

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.ask import is_from_here
from tagboat.api.services import ApiServices, Services
from tagboat.core.elsewhere import elsewhere
from tagboat.core.errors import EngineError, IngressUnavailableError, TagboatError
from tagboat.core.polling import RegistryBackoff
from tagboat.core.ports import Reader
from tagboat.core.runtime import Runtime
from tagboat.http.authentication import TokenCheck

HEALTH_PATH = "/api/health"
LIVE_PATH = f"{HEALTH_PATH}/live"
READY_PATH = f"{HEALTH_PATH}/ready"
TIMEOUT_S = 2.0
_WELL = frozenset({"ok", "none"})
_ELSEWHERE = "out of reach; 'tagboat doctor' on the server's machine says why"
_SILENT = {
    "database": "is its disk full, or PostgreSQL down?",
    "engine": "does 'docker version' answer on the server's machine?",
    "ingress": "does HAProxy hang? 'tagboat ingress status' shows its process",
}
_REGISTRIES_SHOWN = 5

router = APIRouter(tags=["health"])
log = structlog.get_logger("tagboat.health")

_responses: Responses = {
    500: problems()[500],
    503: {"model": schemas.HealthOut, "description": "The database is out of reach."},
}


@dataclass(slots=True)
class _Reading:
    """Reads that the database has yet to answer: they are waited for, and no other is begun."""

    under_way: asyncio.Future[Sequence[RegistryBackoff]] | None = None

    async def ask(self, services: ApiServices) -> Sequence[RegistryBackoff]:
        if self.under_way is None or self.under_way.done():
            self.under_way = asyncio.ensure_future(services.store.read(_failing))
            self.under_way.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # whether or not anybody waits
        return await asyncio.shield(self.under_way)


@dataclass(slots=True)
class Rounds:
    """Rounds of checks. Anybody may ask, as often as they like: all who ask during a round are told what it finds."""

    _under_way: asyncio.Task[dict[str, str]] | None = None
    _reading: _Reading = field(default_factory=_Reading)

    async def ask(self, services: ApiServices) -> dict[str, str]:
        """What the round under way finds, or a new one: `ok`, `none` or the reason, by check."""
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._round(services))
            self._under_way.add_done_callback(self._end)
        # Whoever hangs up takes nothing from the others.
        return await asyncio.shield(self._under_way)

    async def ask_database(self, services: ApiServices) -> str:
        """Whether the database answers: `ok`, or why not."""
        return await _check("database", self._reading.ask(services))

    async def _round(self, services: ApiServices) -> dict[str, str]:
        database, engine, ingress, registries = await asyncio.gather(
            self.ask_database(services),
            _check("engine", _ask_engine(services.engine)),
            _check("ingress", _ask_ingress(services.ingress_trouble))
            if services.ingress_trouble
            else _none(),
            self._registries(services),
        )
        return {
            "database": database,
            "engine": engine,
            "ingress": ingress,
            "registries": registries,
        }

    async def _registries(self, services: ApiServices) -> str:
        """Which registries failed when they were last polled. Without the database nobody knows of any."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                failing = await self._reading.ask(services)
        except (TimeoutError, TagboatError):
            return "ok"
        shown = [f"{one.host}: {one.error}" for one in failing[:_REGISTRIES_SHOWN]]
        more = [f"and {len(failing) - len(shown)} more"] if len(failing) > len(shown) else []
        return "; ".join(shown + more) or "ok"

    def _end(self, _: asyncio.Task[dict[str, str]]) -> None:
        self._under_way = None


@router.get(HEALTH_PATH, responses=_responses)
async def get_health(request: Request, services: Services, response: Response) -> schemas.HealthOut:
    """How the server is. Without engine, ingress or a registry it still takes pushes in; without its database it cannot."""
    rounds: Rounds = request.app.state.health
    checks = await rounds.ask(services)
    if not _may_know_why(request, services):
        checks = {name: state if state in _WELL else _ELSEWHERE for name, state in checks.items()}
    return _answer(checks, services, response)


@router.get(LIVE_PATH, responses={500: problems()[500]})
async def get_liveness(services: Services, response: Response) -> schemas.HealthOut:
    """Whether the server answers at all. Nothing else is looked at: a restart would mend nothing else."""
    return _answer({}, services, response)


@router.get(READY_PATH, responses=_responses)
async def get_readiness(
    request: Request, services: Services, response: Response
) -> schemas.HealthOut:
    """Whether the server can take pushes in, for which it needs its database."""
    rounds: Rounds = request.app.state.health
    state = await rounds.ask_database(services)
    if state != "ok" and not _may_know_why(request, services):
        state = _ELSEWHERE
    return _answer({"database": state}, services, response)


def _answer(
    checks: Mapping[str, str], services: ApiServices, response: Response
) -> schemas.HealthOut:
    if checks.get("database", "ok") != "ok":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return schemas.HealthOut(
            status="unavailable", version=services.version, checks=dict(checks)
        )
    well = all(state in _WELL for state in checks.values())
    return schemas.HealthOut(
        status="ok" if well else "degraded", version=services.version, checks=dict(checks)
    )


def _may_know_why(request: Request, services: ApiServices) -> bool:
    offered = request.headers.get("authorization", "").encode("latin-1", "replace")
    return is_from_here(request) or TokenCheck(services.tokens).accepts(offered)


def _failing(reader: Reader) -> Sequence[RegistryBackoff]:
    return reader.failing_registries()


async def _ask_engine(engine: Runtime) -> None:
    await engine.version()
    if words := elsewhere(await engine.own_network()):
        raise EngineError(words)


async def _ask_ingress(trouble: Callable[[], Awaitable[str | None]]) -> None:
    if said := await trouble():
        raise IngressUnavailableError(said)


async def _none() -> str:
    return "none"


async def _check(name: str, work: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await work
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:.0f} s; {_SILENT[name]}"
    except TagboatError as error:
        log.warning("not well", action="check", check=name, reason=str(error))
        return str(error)
    return "ok"
