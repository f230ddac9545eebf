"""Endpoints that are routed to no more, until they are quiet for sure."""

import pytest

from tagboat.core.endpoint import Endpoint
from tagboat.core.route import Route, RouteState
from tagboat.deploy.left_endpoints import LeftEndpoints

pytestmark = pytest.mark.anyio

ONE, TWO = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)


def to(endpoint: Endpoint) -> list[Route]:
    return [Route("shop.localhost", RouteState.OPEN, endpoint)]


async def counted(left: LeftEndpoints, in_flight: int = 0) -> dict[str, int]:
    async def count(_: Endpoint) -> int:
        return in_flight

    return await left.count(count)


async def test_one_that_is_left_is_counted_until_it_was_quiet_twice() -> None:
    left = LeftEndpoints()
    left.route_all({"dev": to(ONE)})
    assert await counted(left, 3) == {}
    left.route("dev", to(TWO))
    assert await counted(left, 3) == {str(ONE): 3}
    assert await counted(left) == {str(ONE): 1}
    assert await counted(left, 1) == {str(ONE): 1}
    assert await counted(left) == {str(ONE): 1}
    assert await counted(left) == {}


async def test_one_that_is_routed_to_again_is_not_left() -> None:
    left = LeftEndpoints()
    left.route_all({"dev": to(ONE), "prod": []})
    left.route_all({"dev": to(TWO)})
    left.route_all({"dev": to(TWO), "prod": to(ONE)})
    assert await counted(left, 1) == {}
    left.route_all({"dev": to(TWO)}, earlier=[ONE])
    assert await counted(left, 1) == {str(ONE): 1}
