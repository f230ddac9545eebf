"""Logins that a cluster keeps for its nodes, renewed before those of an hour or more expire."""

from functools import partial

import structlog

from tagboat.core.runtime import Runtime
from tagboat.deploy.ownership import own_labels
from tagboat.loops import PeriodicTask

RENEW_EVERY_S = 3600.0
_RENEW_RETRY_S = 60.0

log = structlog.get_logger("tagboat.logins")


async def keep_logins_fresh(runtime: Runtime, installation: str) -> None:
    """Renew the logins of this installation's workloads at once, and hourly; until cancelled."""

    async def renew() -> float:
        await runtime.renew_logins(own_labels(installation))
        return RENEW_EVERY_S

    warn = partial(log.warning, "logins not renewed", action="renew")
    await PeriodicTask(renew, retry_s=_RENEW_RETRY_S, warn=warn).run()
