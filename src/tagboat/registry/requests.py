"""Requests to a registry's API, and its root, which tells a registry from a web page."""

from http import HTTPStatus

from yarl import URL

from tagboat.core.errors import RegistryProtocolError
from tagboat.registry.endpoint import RegistryEndpoint
from tagboat.registry.failures import parse_json
from tagboat.registry.transport import RegistryRequest, RegistryResponse

MAX_SMALL = 64 * 1024
"""Bytes of a body that is never long."""


def is_registry(response: RegistryResponse) -> bool:
    """Return True if the API's root answers as a registry does, and not as a web page."""
    if response.status != HTTPStatus.OK:
        return response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    # Not every registry sends the header, and most send `{}` or nothing as body.
    if "Docker-Distribution-Api-Version" in response.headers or not response.body.strip():
        return True
    try:
        parse_json(response.body, response.host)
    except RegistryProtocolError:
        return False
    return True


def api_root(endpoint: RegistryEndpoint, authorization: str | None = None) -> RegistryRequest:
    """Return the request for the API's root."""
    return get_request(endpoint, endpoint.url("/v2/"), MAX_SMALL).with_login(authorization)


def get_request(
    endpoint: RegistryEndpoint, url: URL, max_body: int, accept: str = "application/json"
) -> RegistryRequest:
    """Return a GET request to an endpoint."""
    return RegistryRequest(
        "GET", url, max_body, accept, ca_cert=endpoint.ca_cert, vouched=endpoint.is_vouched
    )
