"""The poller's view of intake."""

from collections.abc import Callable
from datetime import datetime

from tagboat.core.ports import DeployTriggerer, Tx
from tagboat.intake.admit import Admission


def admission(deployer: DeployTriggerer) -> Callable[[Tx, datetime], Admission]:
    """Admit pushes as the server does, and queue their deploys with `deployer`."""
    return lambda tx, now: Admission(tx, deployer, now)
