"""Listings of containers: only what may have changed is inspected again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tagboat.core.values import replace
from tagboat.core.workload import TaskStatus, WorkloadStatus
from tagboat.runtime.docker.listing import (
    INSPECTED_WITHIN_S,
    SEEN_WITHIN_S,
    ContainerListing,
)

pytestmark = pytest.mark.anyio


@dataclass
class Engine:
    """An engine with some containers, by id: the words of its listing, and the status of each."""

    said: dict[str, str] = field(default_factory=dict)
    health: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    restarts: int = 0
    inspected: list[str] = field(default_factory=list)
    now: float = 0.0

    def listing(self) -> ContainerListing:
        return ContainerListing(self, self.inspect, lambda: self.now)  # type: ignore[arg-type]

    @asynccontextmanager
    async def use(self, _doing: str, _limit_s: float) -> AsyncIterator["Engine"]:
        yield self

    async def _query_json(self, path: str, method: str, params: Mapping[str, str]) -> list[Any]:
        assert (path, method, params["all"]) == ("containers/json", "GET", "1")
        return [
            {
                "Id": key,
                "Names": [self.names.get(key, f"/{key}")],
                "State": "running" if said.startswith("Up") else "exited",
                "Status": said,
            }
            for key, said in self.said.items()
        ]

    async def inspect(self, key: str) -> WorkloadStatus | None:
        self.inspected.append(key)
        task = TaskStatus(
            id=key, running=self.said[key].startswith("Up"), health=self.health.get(key)
        )
        return WorkloadStatus(
            id=key,
            name=key,
            labels={},
            tasks=(task,),
            restarts=self.restarts,
            paused=key in self.paused,
        )

    async def look(self, listing: ContainerListing, after_s: float = 60.0) -> list[str]:
        """Return the ids that were inspected by a listing, so many seconds later."""
        self.now += after_s
        self.inspected.clear()
        await listing.read({})
        return self.inspected


async def test_of_a_thousand_the_one_is_inspected_that_has_changed() -> None:
    engine = Engine({f"c{number}": "Up 5 minutes" for number in range(1000)})
    listing = engine.listing()
    assert len(await engine.look(listing)) == 1000
    assert await engine.look(listing) == []
    engine.said["c7"] = "Up 2 seconds"
    assert await engine.look(listing) == ["c7"]
    engine.said |= {"c7": "Up 3 minutes", "c8": "Exited (1) 3 seconds ago"}
    assert await engine.look(listing) == ["c8"]
    # One that does not run may be started, and end again, between two looks.
    assert await engine.look(listing) == ["c8"]


async def test_the_status_is_the_one_that_was_found_last() -> None:
    engine = Engine({"c": "Up 2 days"})
    listing = engine.listing()
    (before,) = await listing.read({})
    engine.restarts = 1
    engine.said["c"] = "Up Less than a second"
    (after,) = await listing.read({})
    assert (before.restarts, after.restarts) == (0, 1)
    engine.said["c"] = "Up 3 minutes"
    assert await listing.read({}) == [replace(before, restarts=1)]


@pytest.mark.parametrize(
    "said",
    [
        "Up 1 second",
        "Up 59 seconds",
        "Up About a minute",
        "Up 5 minutes (unhealthy)",
        "Up 5 minutes (health: starting)",
        "Up 5 minutes (Paused)",
        "Restarting (1) 5 minutes ago",
        "Exited (0) 5 minutes ago",
        "Created",
        "",
        "running",
    ],
)
async def test_what_may_have_changed_unseen_is_inspected_each_time(said: str) -> None:
    engine = Engine({"c": said})
    listing = engine.listing()
    for _ in range(3):
        assert await engine.look(listing) == ["c"]


@pytest.mark.parametrize("uptime", ["3 minutes", "About an hour", "47 hours", "3 weeks"])
async def test_one_that_is_well_is_not(uptime: str) -> None:
    engine = Engine({"c": f"Up {uptime} (healthy)"}, health={"c": "healthy"})
    listing = engine.listing()
    assert await engine.look(listing) == ["c"]
    assert await engine.look(listing) == []
    engine.said["c"], engine.health["c"] = f"Up {uptime} (unhealthy)", "unhealthy"
    assert await engine.look(listing) == ["c"]


async def test_while_much_is_deployed_new_ones_are_not_inspected_every_second() -> None:
    engine = Engine({f"c{number}": f"Up {number} seconds" for number in range(5, 60)})
    listing = engine.listing()
    assert len(await engine.look(listing)) == 55
    engine.said = {f"c{number}": f"Up {number + 1} seconds" for number in range(5, 60)}
    engine.said["c59"] = "Up About a minute"
    assert await engine.look(listing, 1.0) == []
    # One restarted since; and after a longer pause nobody knows that of the youngest.
    engine.said["c30"] = "Up 1 second"
    assert await engine.look(listing, 1.0) == ["c30"]
    engine.said = {f"c{number}": f"Up {number + 12} seconds" for number in range(5, 48)}
    assert await engine.look(listing, 20.0) == [f"c{number}" for number in range(5, 9)]


async def test_health_that_no_listing_shows_is_asked_for() -> None:
    engine = Engine({"c": "Up 5 minutes"}, health={"c": "healthy"})
    listing = engine.listing()
    for _ in range(2):
        assert await engine.look(listing) == ["c"]


async def test_pauses_that_no_listing_shows_are_asked_for() -> None:
    engine = Engine({"c": "Up 5 minutes"}, paused={"c"})
    listing = engine.listing()
    for _ in range(2):
        assert await engine.look(listing) == ["c"]


async def test_a_restart_after_a_long_silence_is_not_missed() -> None:
    engine = Engine({"c": "Up 5 minutes"})
    listing = engine.listing()
    await engine.look(listing)
    assert await engine.look(listing, SEEN_WITHIN_S + 1) == ["c"]


async def test_each_is_inspected_again_after_a_while() -> None:
    engine = Engine({"c": "Up 5 hours"})
    listing = engine.listing()
    looks = [await engine.look(listing) != [] for _ in range(int(INSPECTED_WITHIN_S / 60) + 2)]
    assert sum(looks) == 2


async def test_one_with_another_name_is_inspected() -> None:
    engine = Engine({"c": "Up 5 minutes"})
    listing = engine.listing()
    await engine.look(listing)
    engine.names["c"] = "/renamed"
    assert await engine.look(listing) == ["c"]
