"""Networks that are made while others are being made, or removed, on the same engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Network
from typing import Any

import pytest
from aiodocker import DockerError

from tagboat.core.errors import EngineError
from tagboat.runtime.docker.networks import DockerNetworks
from tagboat.runtime.docker.subnets import shares

pytestmark = pytest.mark.anyio
POOL = IPv4Network("10.112.0.0/18")
OURS = {"tagboat.installation": "own"}
FIRST, SECOND, *_ = map(str, shares(POOL, "own", ()))


@dataclass
class Engine:
    """An engine that knows networks which it does not list yet, by their addresses."""

    hidden: dict[str, str] = field(default_factory=dict)
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    appear_after_s: float = 0.0
    making: int = 0
    most_making: int = 0

    def networks_of(self) -> DockerNetworks:
        return DockerNetworks(self, POOL, is_local=False, sleep=self.sleep)  # type: ignore[arg-type]

    @asynccontextmanager
    async def use(self, _doing: str, _limit_s: float) -> AsyncIterator["Engine"]:
        yield self

    @property
    def networks(self) -> "Engine":
        return self

    async def list(self) -> list[dict[str, Any]]:
        return list(self.listed.values())

    async def create(self, body: dict[str, Any]) -> None:
        share = body["IPAM"]["Config"][0]["Subnet"]
        self.asked.append(share)
        self.making += 1
        self.most_making = max(self.making, self.most_making)
        await asyncio.sleep(0)
        self.making -= 1
        if share in self.hidden or any(one["share"] == share for one in self.listed.values()):
            said = {"message": "Pool overlaps with other one on this address space"}
            raise DockerError(HTTPStatus.FORBIDDEN, said["message"])
        self.appears(body["Name"], share)

    async def _query_json(self, path: str) -> dict[str, Any]:
        name = path.removeprefix("networks/")
        if name not in self.listed:
            raise DockerError(HTTPStatus.NOT_FOUND, f"network {name} not found")
        return self.listed[name]

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.appear_after_s and sum(self.slept) >= self.appear_after_s:
            for share, name in self.hidden.items():
                self.appears(name, share)
            self.hidden.clear()

    def appears(self, name: str, share: str) -> None:
        ipam = {"Config": [{"Subnet": share}]}
        self.listed[name] = {"Name": name, "Labels": OURS, "IPAM": ipam, "share": share}


async def test_a_network_that_another_server_is_making_is_waited_for() -> None:
    engine = Engine(hidden={FIRST: "own"}, appear_after_s=1.2)
    await engine.networks_of().ensure("own", OURS, {})
    assert list(engine.listed) == ["own"]
    assert set(engine.asked) == {FIRST}


async def test_addresses_of_another_that_is_being_made_lead_to_the_next_ones() -> None:
    engine = Engine(hidden={FIRST: "other"}, appear_after_s=0.3)
    await engine.networks_of().ensure("own", OURS, {})
    assert engine.listed["own"]["share"] == SECOND


async def test_addresses_that_the_engine_keeps_for_nobody_are_passed_over() -> None:
    engine = Engine(hidden={FIRST: "lost"})
    await engine.networks_of().ensure("own", OURS, {})
    assert engine.listed["own"]["share"] == SECOND
    assert sum(engine.slept) < 4


async def test_an_engine_that_refuses_all_addresses_is_given_up() -> None:
    engine = Engine(hidden={str(share): "lost" for share in shares(POOL, "own", ())})
    with pytest.raises(EngineError, match="others take its addresses again and again"):
        await engine.networks_of().ensure("own", OURS, {})
    assert sum(engine.slept) < 10


async def test_networks_are_made_beside_one_another_but_each_once() -> None:
    engine = Engine()
    names = [f"n{number}" for number in range(6)]
    networks = engine.networks_of()
    await asyncio.gather(*(networks.ensure(name, OURS, {}) for name in names + names))
    assert sorted(engine.listed) == names
    assert len(engine.asked) == 6
    assert engine.most_making == 6
