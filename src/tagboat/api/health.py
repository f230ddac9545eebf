"""Health of the server, for people, load balancers and orchestrators.

Anybody may ask. The reason why something is out is shown to programs on this machine and to callers
with a token, since it names sockets, users and registries; others see what is out.
"""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.ask import is_from_here
from tagboat.api.services import ApiServices, Services
from tagboat.http.identification import PRINCIPAL
from tagboat.operations.health import WELL, SystemHealth

HEALTH_PATH = "/api/health"
LIVE_PATH = f"{HEALTH_PATH}/live"
READY_PATH = f"{HEALTH_PATH}/ready"
_ELSEWHERE = "out of reach; 'tagboat doctor' on the server's machine says why"

router = APIRouter(tags=["health"])

_health_responses: Responses = {
    500: problems()[500],
    503: {"model": schemas.HealthOut, "description": "The database is out of reach."},
}


@router.get(HEALTH_PATH, responses=_health_responses)
async def get_health(request: Request, services: Services, response: Response) -> schemas.HealthOut:
    """Show the health of the server.

    Without engine, ingress or a registry it still accepts pushes; without its database it cannot.
    """
    return _answer(request, services, response, await services.operations.health.check())


@router.get(LIVE_PATH, responses={500: problems()[500]})
async def get_liveness(
    request: Request, services: Services, response: Response
) -> schemas.HealthOut:
    """Answer, and check nothing: a restart would mend nothing that is outside."""
    return _answer(request, services, response, SystemHealth({}))


@router.get(READY_PATH, responses=_health_responses)
async def get_readiness(
    request: Request, services: Services, response: Response
) -> schemas.HealthOut:
    """Show whether the server can accept pushes, for which it needs its database."""
    return _answer(request, services, response, await services.operations.health.check_database())


def _answer(
    request: Request, services: ApiServices, response: Response, found: SystemHealth
) -> schemas.HealthOut:
    checks = dict(found.checks)
    if not (is_from_here(request) or PRINCIPAL in request.scope):
        checks = {name: state if state in WELL else _ELSEWHERE for name, state in checks.items()}
    if found.status == "unavailable":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return schemas.HealthOut(status=found.status, version=services.version, checks=checks)
