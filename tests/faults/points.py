"""The points at which the server is killed, by the course of the deploy.

Before and after each call named here.

A call's name says what it is, and which of its name since the deploy was ordered. `store.write` is
a durable write, by the function that makes it; `ingress.` calls lead traffic, and ask HAProxy what
`haproxy.` calls say.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

CLAIM = "claim after"
"""The worker has written down that the deploy is its own."""

_REPLACE = (
    "beside: store.write Intake.accept#1",
    "store.write DeployRecord.resume#1",
    "store.write DeployRecord.advance to resolve#1",
    "store.write DeployRecord.settle_digest#1",
    "store.write DeployRecord.advance to pull#1",
    "runtime.inspect_image#1",
    "store.write note_pull#1",
    "runtime.pull#1",
    "runtime.inspect_image#2",  # within the pull, at its end
    "runtime.platform#1",
    "store.write DeployRecord.advance to start#1",
    "runtime.status#1",  # where the old one keeps what it writes
    "runtime.ensure_network#1",
    "store.write DeployRecord.put_instance#1",
    "runtime.create#1",
    "runtime.start#1",
    "store.write DeployRecord.advance to check#1",
    "runtime.status#2",
    "store.write DeployRecord.advance to switch#1",
    "ingress.change_routes#1",
    "ingress.write_files#1",
    "haproxy.show proc#1",
    "haproxy.show info#1",
    "haproxy.show proc#2",
    "haproxy.get map#1",
    "haproxy.set map#1",
    "haproxy.get map#2",
    "store.write DeployRecord.advance to watch#1",
    "runtime.status#3",
    "store.write DeployRecord.change_instances#1",  # it stayed healthy
    "store.write DeployRecord.advance to drain#1",
    "ingress.in_flight#1",
    "haproxy.show proc#3",
    "haproxy.show table#1",
    "ingress.in_flight#2",
    "haproxy.show proc#4",
    "haproxy.show table#2",
    "store.write DeployRecord.advance to retire#1",
    "runtime.stop#1",
    "runtime.remove#1",
    "store.write note_stopped#1",
    "store.write DeployRecord.advance#1",  # the last step is done
    "store.write DeployRecord.end#1",
)
_FIRST = (
    "store.write DeployRecord.fill_project#1",
    "store.write DeployRecord.advance to start#1",
    "runtime.ensure_network#1",
    "store.write DeployRecord.put_instance#1",
    "runtime.create#1",
    "runtime.start#1",
    "store.write DeployRecord.advance to check#1",
    "store.write DeployRecord.advance to switch#1",
    "ingress.change_routes#1",
    "haproxy.set map#1",
    "store.write DeployRecord.advance to watch#1",
    "store.write DeployRecord.advance to drain#1",
    "store.write DeployRecord.advance to retire#1",
    "store.write DeployRecord.advance#1",
    "store.write DeployRecord.end#1",
)
_RECREATE = (
    "store.write DeployRecord.make_way#1",
    "ingress.change_routes#1",
    "ingress.write_files#1",
    "haproxy.show proc#1",
    "haproxy.show info#1",
    "haproxy.show proc#2",
    "haproxy.get map#1",
    "haproxy.set map#1",
    "haproxy.get map#2",
    "ingress.in_flight#1",
    "haproxy.show proc#3",
    "haproxy.show table#1",
    "ingress.in_flight#2",
    "haproxy.show proc#4",
    "haproxy.show table#2",
    "runtime.stop#1",
    "runtime.ensure_network#1",
    "store.write DeployRecord.put_instance#1",
    "runtime.create#1",
    "runtime.start#1",
    "store.write DeployRecord.advance to check#1",
    "runtime.status#2",
    "store.write DeployRecord.advance to switch#1",
    "ingress.change_routes#2",
    "ingress.write_files#2",
    "haproxy.show info#2",
    "haproxy.get map#3",
    "haproxy.set map#2",
    "haproxy.get map#4",
    "store.write DeployRecord.advance to watch#1",
    "runtime.status#3",
    "store.write DeployRecord.advance to drain#1",
    "store.write DeployRecord.advance to retire#1",
    "runtime.stop#2",
    "runtime.remove#1",
    "store.write note_stopped#1",
    "store.write DeployRecord.advance#1",
    "store.write DeployRecord.end#1",
)
_ROLL_BACK = (
    "beside: store.write DeployOperations._views#1",
    "store.write DeployRecord.resume#1",
    "store.write DeployRecord.advance to resolve#1",
    "runtime.ensure_network#1",
    "store.write DeployRecord.put_instance#1",
    "runtime.create#1",
    "runtime.start#1",
    "store.write DeployRecord.advance to switch#1",
    "ingress.change_routes#1",
    "haproxy.set map#1",
    "store.write DeployRecord.advance to drain#1",
    "runtime.stop#1",
    "runtime.remove#1",
    "store.write note_stopped#1",
    "store.write DeployRecord.end#1",
)
_FAIL = (
    "runtime.status#2",
    "runtime.inspect_image#3",  # is it built for another machine?
    "runtime.platform#2",
    "store.write DeployRecord.record_failure#1",
    "ingress.change_routes#1",
    "ingress.write_files#1",
    "haproxy.get map#1",
    "runtime.list_workloads#1",
    "runtime.logs#1",
    "store.write DeployRecord.keep_log#1",
    "runtime.remove#1",
    "store.write DeployRecord.end#1",
)
_FAIL_WHEN_LIVE = (
    "runtime.status#3",
    "store.write DeployRecord.record_failure#1",
    "ingress.change_routes#2",
    "ingress.write_files#2",
    "haproxy.show info#2",
    "haproxy.get map#3",
    "haproxy.set map#2",
    "ingress.in_flight#1",
    "ingress.in_flight#2",
    "runtime.list_workloads#1",
    "runtime.logs#1",
    "store.write DeployRecord.keep_log#1",
    "runtime.remove#1",
    "store.write DeployRecord.end#1",
)


def around(calls: Sequence[str]) -> tuple[str, ...]:
    """Return the points before and after each of the calls."""
    return tuple(f"{call} {edge}" for call in calls for edge in ("before", "after"))


POINTS: Mapping[str, Sequence[str]] = {
    "replace": (*around(_REPLACE), CLAIM),
    "first": (*around(_FIRST), CLAIM),
    "recreate": around(_RECREATE),
    "roll back": (*around(_ROLL_BACK), CLAIM),
    "fail": around(_FAIL),
    "fail when live": around(_FAIL_WHEN_LIVE),
}
"""What a course has in common with `replace`, in the same situation, is tried there alone."""

QUICK = frozenset(
    {
        ("replace", "store.write DeployRecord.put_instance#1 after"),
        ("replace", "store.write DeployRecord.advance to switch#1 after"),
        ("replace", "haproxy.set map#1 after"),
        ("recreate", "runtime.stop#1 after"),
        ("fail", "store.write DeployRecord.record_failure#1 after"),
        ("fail when live", "ingress.change_routes#2 after"),
    }
)

TWICE = (
    ("replace", "runtime.create#1 after", "beside: runtime.list_workloads#1 after"),
    ("replace", "runtime.start#1 after", "store.write DeployRecord.resume#1 after"),
    ("replace", "runtime.start#1 after", "runtime.remove#1 before"),
    ("replace", "runtime.start#1 after", "runtime.remove#1 after"),
    (
        "replace",
        "store.write DeployRecord.advance to switch#1 after",
        "beside: ingress.apply_routes#1 after",
    ),
    ("replace", "runtime.stop#1 after", "runtime.remove#1 after"),
    (
        "recreate",
        "store.write DeployRecord.make_way#1 after",
        "beside: ingress.apply_routes#1 after",
    ),
    ("recreate", "runtime.stop#1 after", "runtime.start#1 after"),
    ("recreate", "runtime.start#1 after", "runtime.remove#1 after"),
    ("roll back", "runtime.start#1 after", "runtime.create#1 after"),
    ("fail", "store.write DeployRecord.record_failure#1 after", "runtime.remove#1 after"),
    (
        "fail when live",
        "store.write DeployRecord.record_failure#1 after",
        "beside: ingress.apply_routes#1 after",
    ),
)
"""Where it dies, and where it dies once more when it has just been started again."""

_BY_THE_SWEEP = {
    ("fail when live", "haproxy.set map#2"): "beside: haproxy.set map#1",
    ("recreate", "haproxy.set map#2"): "beside: haproxy.set map#1",
}
"""A container that ends wakes the sweep, which may be the first to lead traffic where the deploy
wants it.
"""

_NUMBERED = re.compile(r"(.+)#(\d+) (?:before|after)")
_REPEATED = {
    "runtime.status": 3,
    "ingress.in_flight": 2,
    "haproxy.show table": 2,
    "haproxy.show proc": 4,
    "runtime.last_exit_code": 0,
    "haproxy.show info": 2,
    "haproxy.show events": 0,
    "store.write DeployRecord.note": 0,
    "store.write watch_over": 0,
}
"""What is called until something comes about.

After so many, the next may be of another phase, or never come. How requests ended is asked only
where some did not end well, and progress is noted only once a second.

How the program ended is asked only where a look comes upon a container that the engine has just
started again.

A watch that goes on after the deploy names the deploy in its lines, and so counts as its own.
"""
_ORDERS = ("Intake.accept", "DeployOperations")


def meant_by(course: str, point: str) -> list[str]:
    """Return the point, under all names that it may have."""
    call, _, edge = point.rpartition(" ")
    by_the_sweep = _BY_THE_SWEEP.get((course, call))
    return [point] if by_the_sweep is None else [point, f"{by_the_sweep} {edge}"]


def stable(passed: Iterable[str]) -> list[str]:
    """Of the points passed, those that every deploy of its course passes."""
    return [point for point in passed if _is_stable(point)]


def calls_of(points: Iterable[str]) -> set[str]:
    """Return what is called at the points, without their numbers and edges."""
    return {point.partition("#")[0] for point in points}


def _is_stable(point: str) -> bool:
    if point.startswith(
        "beside: "
    ):  # of all that is not the deploy's own, only the order that caused it
        return any(order in point for order in _ORDERS)
    match = _NUMBERED.fullmatch(point)
    return point == CLAIM or (
        match is not None and int(match[2]) <= _REPEATED.get(match[1], 1 << 30)
    )
