"""The points at which the server is killed in courses where one order crosses another.

See `points`.

What is as in a course of a single deploy is tried there. The second of a name is that of the deploy
that comes after.
"""

from collections.abc import Mapping, Sequence

from tests.faults.points import around

_GO_BACK = (
    "beside: store.write DeployOperations._views#1",
    "store.write DeployRecord.resume#1",
    "store.write DeployRecord.record_failure#1",
    "ingress.change_routes#1",
    "ingress.write_files#1",
    "haproxy.set map#1",
    "haproxy.get map#2",
    "ingress.in_flight#1",
    "haproxy.show table#1",
    "runtime.list_workloads#1",
    "runtime.logs#1",
    "store.write DeployRecord.keep_log#1",
    "runtime.remove#1",
    "store.write DeployRecord.end#1",
    "store.write DeployRecord.resume#2",
    "store.write DeployRecord.advance to resolve#1",
    "store.write DeployRecord.settle_digest#1",
    "store.write DeployRecord.change_instances#1",
    "store.write DeployRecord.end#2",
)
_CANCEL_AND_PUSH = (
    "beside: store.write DeployOperations._views#1",
    "store.write DeployRecord.resume#1",
    "beside: store.write Intake.accept#1",
    "store.write DeployRecord.record_failure#1",
    "ingress.change_routes#1",
    "runtime.list_workloads#1",
    "store.write DeployRecord.keep_log#1",
    "runtime.remove#1",
    "store.write DeployRecord.end#1",
    "store.write DeployRecord.resume#2",
    "store.write DeployRecord.settle_digest#1",
    "runtime.ensure_network#1",
    "store.write DeployRecord.put_instance#1",
    "runtime.create#1",
    "store.write DeployRecord.advance to switch#1",
    "runtime.stop#1",
    "store.write DeployRecord.end#2",
)
_MERGE_CANCEL_AND_PUSH = (
    "beside: store.write Intake.accept#1",
    "beside: store.write DeployOperations._views#1",
    "store.write DeployRecord.resume#1",
    "beside: store.write Intake.accept#2",
    "store.write DeployRecord.record_failure#1",
    "store.write DeployRecord.end#1",
    "store.write DeployRecord.resume#2",
    "store.write DeployRecord.settle_digest#1",
    "runtime.create#1",
    "store.write DeployRecord.end#2",
)
_PUSH_AGAIN = (
    "beside: store.write Intake.accept#1",
    "ingress.change_routes#1",
    "runtime.list_workloads#1",
    "store.write DeployRecord.keep_log#1",
    "runtime.remove#1",
    "store.write DeployRecord.end#1",
    "store.write DeployRecord.resume#1",
    "store.write DeployRecord.settle_digest#1",
    "runtime.create#1",
    "store.write DeployRecord.advance to switch#1",
    "store.write DeployRecord.end#2",
)
_CUT_SHORT = (
    "beside: store.write Intake.accept#1",
    "runtime.inspect_image#1",  # of the newer one, beside the watch
    "store.write note_pull#1",
    "runtime.pull#1",
    "store.write DeployRecord.advance to drain#1",
    "store.write DeployRecord.advance to retire#1",
    "store.write DeployRecord.end#1",
    "store.write DeployRecord.resume#1",
    "store.write DeployRecord.settle_digest#1",
    "runtime.ensure_network#1",
    "store.write DeployRecord.put_instance#1",
    "runtime.create#1",
    "runtime.start#1",
    "store.write DeployRecord.record_failure#1",
    "ingress.change_routes#1",
    "runtime.remove#1",
    "store.write DeployRecord.end#2",
)
_RELEASE = (
    "store.write DeployRecord.note#1",
    "runtime.list_workloads#1",
    "runtime.ensure_network#1",
    "runtime.create#1",
    "store.write DeployRecord.change#1",  # its id
    "runtime.start#1",
    "runtime.status#2",
    "runtime.logs#1",
    "store.write DeployRecord.change#2",  # its end
    "runtime.remove#1",
    "runtime.ensure_network#2",
    "store.write DeployRecord.put_instance#1",
    "runtime.create#2",
    "runtime.start#2",
    "store.write DeployRecord.advance to switch#1",
    "store.write DeployRecord.end#1",
)
_RELEASE_FAILS = (
    "runtime.start#1",
    "runtime.logs#1",
    "store.write DeployRecord.record_failure#1",
    "ingress.change_routes#1",
    "store.write DeployRecord.keep_log#1",
    "runtime.remove#1",
    "store.write DeployRecord.end#1",
)


CROSSED_POINTS: Mapping[str, Sequence[str]] = {
    # The watch is not begun again: that is refused.
    "go back in the watch": (
        *around(_GO_BACK),
        "store.write DeployRecord.advance to watch#1 before",
    ),
    "cancel and push": around(_CANCEL_AND_PUSH),
    "merge, cancel and push": around(_MERGE_CANCEL_AND_PUSH),
    "push what fails again": around(_PUSH_AGAIN),
    "cut short, then sick": around(_CUT_SHORT),
    "release": around(_RELEASE),
    "release fails": around(_RELEASE_FAILS),
}

CROSSED_QUICK = frozenset(
    {
        ("cancel and push", "beside: store.write Intake.accept#1 after"),
        ("release", "runtime.start#1 after"),
    }
)

CROSSED_TWICE = (
    (
        "go back in the watch",
        "beside: store.write DeployOperations._views#1 after",
        "store.write DeployRecord.record_failure#1 after",
    ),
    (
        "go back in the watch",
        "store.write DeployRecord.record_failure#1 after",
        "store.write DeployRecord.end#1 after",
    ),
    (
        "go back in the watch",
        "runtime.remove#1 after",
        "store.write DeployRecord.settle_digest#1 after",
    ),
    ("cancel and push", "beside: store.write Intake.accept#1 after", "runtime.remove#1 after"),
    (
        "cut short, then sick",
        "store.write DeployRecord.record_failure#1 after",
        "runtime.remove#1 after",
    ),
    ("release", "runtime.start#1 before", "runtime.remove#1 after"),
    ("release", "runtime.start#1 after", "store.write DeployRecord.change#1 after"),
    ("release fails", "runtime.logs#1 after", "runtime.remove#1 after"),
)
