"""The points at which the server is killed in courses where one order crosses another; see `points`.

What is as in a course of a single deploy is tried there. The second of a name is that of the deploy that comes after.
"""

from collections.abc import Mapping, Sequence

from tests.faults.points import around

_GO_BACK = (
    "beside: store.write roll_back#1",
    "store.write Journal.resume#1",
    "store.write Journal.give_up#1",
    "ingress.change#1",
    "ingress.write_files#1",
    "haproxy.set map#1",
    "haproxy.get map#2",
    "ingress.in_flight#1",
    "haproxy.show table#1",
    "engine.containers#1",
    "engine.logs#1",
    "store.write Journal.keep_log#1",
    "engine.remove#1",
    "store.write Journal.end#1",
    "store.write Journal.resume#2",
    "store.write Journal.advance to resolve#1",
    "store.write Journal.settle_digest#1",
    "store.write Journal.change_instances#1",
    "store.write Journal.end#2",
)
_CANCEL_AND_PUSH = (
    "beside: store.write cancel_deploy#1",
    "store.write Journal.resume#1",
    "beside: store.write Intake.accept#1",
    "store.write Journal.give_up#1",
    "ingress.change#1",
    "engine.containers#1",
    "store.write Journal.keep_log#1",
    "engine.remove#1",
    "store.write Journal.end#1",
    "store.write Journal.resume#2",
    "store.write Journal.settle_digest#1",
    "engine.ensure_network#1",
    "store.write Journal.put_instance#1",
    "engine.create#1",
    "store.write Journal.advance to switch#1",
    "engine.stop#1",
    "store.write Journal.end#2",
)
_MERGE_CANCEL_AND_PUSH = (
    "beside: store.write Intake.accept#1",
    "beside: store.write cancel_deploy#1",
    "store.write Journal.resume#1",
    "beside: store.write Intake.accept#2",
    "store.write Journal.give_up#1",
    "store.write Journal.end#1",
    "store.write Journal.resume#2",
    "store.write Journal.settle_digest#1",
    "engine.create#1",
    "store.write Journal.end#2",
)
_PUSH_AGAIN = (
    "beside: store.write Intake.accept#1",
    "ingress.change#1",
    "engine.containers#1",
    "store.write Journal.keep_log#1",
    "engine.remove#1",
    "store.write Journal.end#1",
    "store.write Journal.resume#1",
    "store.write Journal.settle_digest#1",
    "engine.create#1",
    "store.write Journal.advance to switch#1",
    "store.write Journal.end#2",
)
_CUT_SHORT = (
    "beside: store.write Intake.accept#1",
    "engine.inspect_image#1",  # of the newer one, beside the watch
    "store.write note_pull#1",
    "engine.pull#1",
    "store.write Journal.advance to drain#1",
    "store.write Journal.advance to retire#1",
    "store.write Journal.end#1",
    "store.write Journal.resume#1",
    "store.write Journal.settle_digest#1",
    "engine.ensure_network#1",
    "store.write Journal.put_instance#1",
    "engine.create#1",
    "engine.start#1",
    "store.write Journal.give_up#1",
    "ingress.change#1",
    "engine.remove#1",
    "store.write Journal.end#2",
)
_RELEASE = (
    "store.write Journal.note#1",
    "engine.containers#1",
    "engine.ensure_network#1",
    "engine.create#1",
    "store.write Journal.change#1",  # its id
    "engine.start#1",
    "engine.status#2",
    "engine.logs#1",
    "store.write Journal.change#2",  # its end
    "engine.remove#1",
    "engine.ensure_network#2",
    "store.write Journal.put_instance#1",
    "engine.create#2",
    "engine.start#2",
    "store.write Journal.advance to switch#1",
    "store.write Journal.end#1",
)
_RELEASE_FAILS = (
    "engine.start#1",
    "engine.logs#1",
    "store.write Journal.give_up#1",
    "ingress.change#1",
    "store.write Journal.keep_log#1",
    "engine.remove#1",
    "store.write Journal.end#1",
)


CROSSED_POINTS: Mapping[str, Sequence[str]] = {
    # The watch is not begun again: that is refused.
    "go back in the watch": (*around(_GO_BACK), "store.write Journal.advance to watch#1 before"),
    "cancel and push": around(_CANCEL_AND_PUSH),
    "merge, cancel and push": around(_MERGE_CANCEL_AND_PUSH),
    "push what fails again": around(_PUSH_AGAIN),
    "cut short, then sick": around(_CUT_SHORT),
    "release": around(_RELEASE),
    "release fails": around(_RELEASE_FAILS),
}

CROSSED_QUICK = frozenset(
    {
        ("go back in the watch", "store.write Journal.give_up#1 after"),
        ("cancel and push", "beside: store.write Intake.accept#1 after"),
        ("release", "engine.start#1 after"),
    }
)

CROSSED_TWICE = (
    (
        "go back in the watch",
        "beside: store.write roll_back#1 after",
        "store.write Journal.give_up#1 after",
    ),
    (
        "go back in the watch",
        "store.write Journal.give_up#1 after",
        "store.write Journal.end#1 after",
    ),
    ("go back in the watch", "engine.remove#1 after", "store.write Journal.settle_digest#1 after"),
    ("cancel and push", "beside: store.write Intake.accept#1 after", "engine.remove#1 after"),
    ("cut short, then sick", "store.write Journal.give_up#1 after", "engine.remove#1 after"),
    ("release", "engine.start#1 before", "engine.remove#1 after"),
    ("release", "engine.start#1 after", "store.write Journal.change#1 after"),
    ("release fails", "engine.logs#1 after", "engine.remove#1 after"),
)
