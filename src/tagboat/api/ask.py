"""The question of Caddy's on-demand TLS before it gets a certificate: is this domain ours?

Only programs on this machine may ask. A front on this machine also passes on the requests of
others, but its headers say so: such a call comes from elsewhere. So does one from a browser on this
machine, sent here by a foreign page under another name: Host has that name. All others get the
answer of an address that does not exist.
"""

from ipaddress import IPv6Address, ip_address
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response
from starlette.types import Receive, Scope, Send

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.services import Services
from tagboat.http.problem import not_found

ASK_PATH = "/api/ingress/ask"
# RFC 7239, RFC 9110 (section 7.6.3), and the headers that were usual before.
_OF_FRONTS = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
)

router = APIRouter(tags=["ingress"])
_ask_responses: Responses = {
    200: {
        "model": schemas.ServedDomainOut,
        "description": "A stage, or one of its instances, answers at that domain.",
    },
    **{
        status: description
        for status, description in problems(404).items()
        if status not in {401, 403, 422}
    },
}


class _Nothing(Response):
    """The answer of an address that does not exist, to the byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await not_found(scope, receive, send)


@router.get(ASK_PATH, response_model=None, responses=_ask_responses)
async def ask_ingress(
    request: Request,
    services: Services,
    domain: Annotated[str, Query(description="The domain asked about.")] = "",
) -> schemas.ServedDomainOut | Response:
    """Answer if a stage or one of its instances has the domain, to callers on this machine."""
    # The name may be written with the dot of the root, which is the same domain.
    host = domain.lower().removesuffix(".")
    if not (
        is_from_here(request)
        and is_meant_for_us(request, services.public_url)
        and await services.operations.hosts.have(host)
    ):
        return _Nothing()
    return schemas.ServedDomainOut(domain=host)


def is_meant_for_us(request: Request, public_url: str) -> bool:
    """Return whether the caller names this server by a loopback address or its own name."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        return host in {"localhost", urlsplit(public_url).hostname} or ip_address(host).is_loopback
    except ValueError:
        return False


def is_from_here(request: Request) -> bool:
    """Return whether the caller is a program on this machine that asks for itself."""
    if request.client is None or any(name in request.headers for name in _OF_FRONTS):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    # A socket for both families reports IPv4 callers as ::ffff:127.0.0.1 (RFC 4291, 2.5.5.2).
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
