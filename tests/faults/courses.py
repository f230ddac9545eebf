"""The courses a deploy can take, each as an order that may be cut off by the server's death."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.faults.fault_harness import FaultHarness, StageUnderTest
from tests.faults.traffic import Traffic, traffic
from tests.support.images import EXITS_AT_ONCE

DIES_LATER = ("/bin/sh", "-c", "httpd -p $PORT -h /www; sleep 2; echo 'out of luck'; exit 4")
"""Healthy, and then not."""


@dataclass(frozen=True)
class Ran:
    """What was ordered.

    `before` is the tag that was live, `known` are the ids of earlier deploys.
    """

    tag: str
    before: str
    known: frozenset[str]
    accepted: bool


def nothing(_: FaultHarness, __: StageUnderTest) -> None:
    """Nothing is to be done."""


@dataclass(frozen=True)
class Course:
    """`lives` is how many tags must have been live before, `words` what the reason of the deploy
    must say.

    `always_served` is whether no request may fail at any time, `fresh` whether it begins with a
    stage that has no instance, `once` whether a stage serves for one case only: what was gone
    back from is nothing to go back to. `prepare` brings about what the order finds, before
    points are numbered; `hold` is the point at which a call is held from then on, until the
    order lets it go. `sequel` is done once the server is back. `judge` says what must hold at
    the end, in place of the rules for a single deploy.
    """

    name: str
    lives: int
    status: str
    words: str
    order: Callable[[FaultHarness, StageUnderTest], tuple[str, bool]]
    stage: Mapping[str, Any] = field(default_factory=dict)
    always_served: bool = True
    once: bool = False
    prepare: Callable[[FaultHarness, StageUnderTest], None] = nothing
    hold: str = ""
    sequel: Callable[[FaultHarness, StageUnderTest], None] = nothing
    judge: Callable[[FaultHarness, StageUnderTest, Ran], None] | None = None

    @property
    def fresh(self) -> bool:
        return self.lives == 0

    @property
    def served_by_the_old_one(self) -> bool:
        """Whether somebody answers at once while the server is dead, wherever it died.

        Else who asks may have to wait.
        """
        return self.always_served and "strategy" not in self.stage

    def run(self, world: FaultHarness, lane: StageUnderTest, die_at: Iterable[str] = ()) -> Ran:
        """Prepare and order, with the server dying at `die_at`."""
        known = frozenset(deploy["id"] for deploy in world.deploys(lane))
        before = "" if self.fresh else world.live(lane)["tag"]
        self.prepare(world, lane)
        world.server.order(die_at=list(die_at), hold_at=self.hold)
        tag, accepted = self.order(world, lane)
        return Ran(tag, before, known, accepted)

    @contextmanager
    def users(self, world: FaultHarness, lane: StageUnderTest) -> Iterator[Traffic]:
        if not self.fresh:
            with world.users(lane) as asked:
                yield asked
            return
        with traffic(world.server.ingress_port, lane.host) as asked:
            yield asked


def push(**app: Any) -> Callable[[FaultHarness, StageUnderTest], tuple[str, bool]]:  # noqa: ANN401 - whatever the sample app takes
    """Push a fresh tag."""

    def order(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
        tag = world.publish(lane, **app)
        return tag, world.try_to_push(lane, tag)

    return order


def roll_back(world: FaultHarness, lane: StageUnderTest) -> tuple[str, bool]:
    stopped = [
        one
        for one in world.instances(lane)
        if one["state"] == "stopped" and one["tag"] != world.live(lane)["tag"]
    ]
    last = max(stopped, key=lambda one: str(one["started_at"]))
    return last["tag"], world.try_to("POST", f"/api/stages/{lane.stage_id}/rollback", {})


_ALL = (
    Course("first", 0, "succeeded", "is live", push(), always_served=False),
    Course("replace", 1, "succeeded", "is live", push()),
    Course("recreate", 1, "succeeded", "is live", push(), {"strategy": "recreate"}),
    Course("roll back", 2, "succeeded", "is live", roll_back, once=True),
    Course("fail", 1, "failed", "the new container exited", push(cmd=EXITS_AT_ONCE)),
    Course(
        "fail when live",
        1,
        "failed",
        "the new container exited",
        push(cmd=DIES_LATER),
        {"watch_s": 4},
        always_served=False,
    ),
)
COURSES = {course.name: course for course in _ALL}
"""Those of one deploy."""
