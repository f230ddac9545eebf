"""Random courses of two servers: what is done in one, and how its record is judged."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Json = dict[str, Any]
LANES = 2
"""Stages in a course."""


class Deed(StrEnum):
    """An act of a course: an order of a person, or a disturbance of a server."""

    PUSH = "push"
    PUSH_BROKEN = "push broken"
    ROLL_BACK = "roll back"
    PAUSE = "pause"
    KILL = "kill"
    TERMINATE = "terminate"
    FREEZE = "freeze"
    CUT = "cut"

    @property
    def is_order(self) -> bool:
        return self in {Deed.PUSH, Deed.PUSH_BROKEN, Deed.ROLL_BACK}


@dataclass(frozen=True)
class Act:
    """An act and the pause after it.

    An order is for a stage, and goes to the first of `servers` that takes it. A disturbance is of
    each of `servers`, for `away_s` seconds, while the course goes on.
    """

    deed: Deed
    servers: tuple[int, ...]
    rest_s: float
    lane: int = 0
    away_s: float = 0.0

    def __str__(self) -> str:
        what = f"in {self.lane}" if self.deed.is_order else f"for {self.away_s:.0f} s"
        return f"{self.deed} {what} at {self.servers}"


def course(seed: int) -> list[Act]:
    """Return the 8 to 12 acts of a seed, always the same ones; some of each kind are in it."""
    chance = random.Random(seed)  # noqa: S311 - the same in each run
    orders = [Deed.PUSH, Deed.PUSH_BROKEN, Deed.ROLL_BACK]
    disturbances = [deed for deed in Deed if not deed.is_order]
    deeds = [Deed.PUSH, Deed.PUSH, Deed.PUSH_BROKEN, Deed.ROLL_BACK]
    deeds += chance.sample(disturbances, 3)
    more = chance.randint(8, 12) - len(deeds)
    deeds += chance.choices([*orders, Deed.PUSH, *disturbances], k=more)
    chance.shuffle(deeds)

    def act(deed: Deed) -> Act:
        servers = tuple(chance.sample((0, 1), 2))
        rest_s = chance.uniform(0, 3)
        if deed.is_order:
            return Act(deed, servers, rest_s, lane=chance.randrange(LANES))
        # Both at once is rarer.
        hit = servers if chance.random() < 0.25 else servers[:1]
        return Act(deed, hit, rest_s, away_s=chance.uniform(1, 20))

    return [act(deed) for deed in deeds]


@dataclass
class Orders:
    """The orders that a stage was given: tags by whether their app works, and rollbacks tried.

    A call without an answer may have been heard, so that a tag or a rollback may come again.
    """

    good: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    rollbacks: int = 0


def unexplained(orders: Orders, deploys: Sequence[Json], live: str) -> list[str]:
    """Return what the record of a stage does not explain, if anything.

    `deploys` are all of the stage, oldest first, and `live` the tag that is live.
    """
    pushed = [one for one in deploys if one["trigger"] != "rollback"]
    rollbacks = [one for one in deploys if one["trigger"] == "rollback"]
    tried = [*orders.good, *orders.broken]
    lost = [f"lost: {tag}" for tag in tried if tag not in {one["tag"] for one in pushed}]
    doubled = [f"doubled: {tag}" for tag in tried if len(_started(pushed, tag)) > 1]
    if len(rollbacks) > orders.rollbacks:
        doubled.append("more rollbacks than orders")
    strange = [
        f"{one['tag']} ({one['trigger']}) {one['status']}: {one['reason']}"
        for position, one in enumerate(deploys)
        if not _is_explained(one, deploys[position + 1 :], orders)
    ]
    return [*lost, *doubled, *strange, *_wrong_version(orders, deploys, live)]


def _started(deploys: Iterable[Json], tag: str) -> list[Json]:
    """Return the deploys of the tag that have started a container."""
    return [
        one
        for one in deploys
        if one["tag"] == tag
        and any(step["name"] == "start" and step["started_at"] for step in one["steps"])
    ]


def _is_explained(deploy: Json, later: Sequence[Json], orders: Orders) -> bool:
    match deploy["status"]:
        case "succeeded":
            return deploy["tag"] in orders.good
        case "failed":
            return deploy["tag"] in orders.broken and "exited with code 3" in deploy["reason"]
        case "superseded":
            return deploy["reason"] in {
                f"{one['tag']} was {came} before it began"
                for one in later
                for came in ("pushed", "ordered", "rolled back to")
            }
        case "cancelled":
            return any(one["trigger"] == "rollback" for one in later)
    return False


def _wrong_version(orders: Orders, deploys: Sequence[Json], live: str) -> list[str]:
    """Check that the last good version is live that nobody superseded or took back."""
    done = [one for one in deploys if one["status"] == "succeeded"]
    last = max(done, key=lambda one: str(one["finished_at"]))
    problems = [] if last["tag"] == live else [f"{last['tag']} was the last one, {live} is live"]
    kept = [
        one
        for one in deploys
        if one["trigger"] != "rollback"
        and one["tag"] in orders.good
        and one["status"] not in {"superseded", "cancelled"}
    ]
    rolled_back = {
        one["tag"]
        for one in done
        if one["trigger"] == "rollback" and one["created_at"] >= kept[-1]["created_at"]
    }
    if live not in {kept[-1]["tag"], *rolled_back}:
        problems.append(f"{kept[-1]['tag']} should be live, not {live}")
    return problems
