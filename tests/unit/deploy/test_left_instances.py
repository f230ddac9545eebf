"""Instances that are routed to no more, until they are quiet for sure."""

import pytest

from tagboat.core.endpoint import Endpoint
from tagboat.core.route import Route, RouteState, Target
from tagboat.deploy.left_instances import LeftInstances

pytestmark = pytest.mark.anyio

ONE, TWO = (Target(f"i{port}", (Endpoint("127.0.0.1", port),)) for port in (1, 2))


def to(target: Target) -> list[Route]:
    return [Route("shop.localhost", RouteState.OPEN, target)]


async def counted(left: LeftInstances, in_flight: int = 0) -> dict[str, int]:
    async def count(_: Target) -> int:
        return in_flight

    return await left.count(count)


async def test_one_that_is_left_is_counted_until_it_was_quiet_twice() -> None:
    left = LeftInstances()
    left.route_all({"dev": to(ONE)})
    assert await counted(left, 3) == {}
    left.route("dev", to(TWO))
    assert await counted(left, 3) == {ONE.instance: 3}
    assert await counted(left) == {ONE.instance: 1}
    assert await counted(left, 1) == {ONE.instance: 1}
    assert await counted(left) == {ONE.instance: 1}
    assert await counted(left) == {}


async def test_one_that_is_routed_to_again_is_not_left() -> None:
    left = LeftInstances()
    left.route_all({"dev": to(ONE), "prod": []})
    left.route_all({"dev": to(TWO)})
    left.route_all({"dev": to(TWO), "prod": to(ONE)})
    assert await counted(left, 1) == {}
    left.route_all({"dev": to(TWO)}, earlier=[ONE])
    assert await counted(left, 1) == {ONE.instance: 1}
