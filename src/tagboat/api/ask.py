"""What Caddy's on-demand TLS asks before it gets a certificate: is this domain one of ours?

Whoever asks must be on this machine. A front on this machine passes on what others ask, too, but says so in its headers;
such a call comes from elsewhere, whatever it claims. A stranger, like somebody who asks for a stranger's domain, is told
what they would be told at any address that does not exist.
"""

from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.types import Receive, Scope, Send

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.parts import Parts
from tagboat.core.problem import not_found
from tagboat.core.route import Route
from tagboat.deploy.traffic import routes

ASK_PATH = "/api/ingress/ask"
_OF_FRONTS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")

router = APIRouter(tags=["ingress"])
_responses: Responses = {
    200: {"model": schemas.Served, "description": "A stage, or one of its instances, answers at that domain."},
    **{status: description for status, description in problems(404).items() if status != 401},  # noqa: PLR2004 - no token
}


class _Nothing(Response):
    """The answer of an address that does not exist, to the byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await not_found(scope, receive, send)


@router.get(ASK_PATH, response_model=None, responses=_responses)
async def ask_ingress(
    request: Request, parts: Parts, domain: Annotated[str, Query(description="The domain asked about.")] = ""
) -> schemas.Served | Response:
    """Whether a stage has the domain, or it is the address of one or of its instances. For callers on this machine only."""
    host = domain.lower().removesuffix(".")
    if not is_from_here(request) or not _has(await parts.store.read(lambda reader: routes(reader, parts.base_domain)), host):
        return _Nothing()
    return schemas.Served(domain=host)


def _has(found: Collection[Route], host: str) -> bool:
    return any(route.host == host for route in found)


def is_from_here(request: Request) -> bool:
    """Whether the caller is a program on this machine that asks for itself."""
    if request.client is None or any(name in request.headers for name in _OF_FRONTS):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
