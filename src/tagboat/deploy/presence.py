"""Signs of life of the servers that share a database, also of those without an ingress.

Each server holds a lease of its own name. One that has run out within `GRACE_S` seconds is that of
a server that was stopped, or that cannot reach the database.
"""

from functools import partial
from typing import NamedTuple

import structlog

from tagboat.core.ports import Reader, Store
from tagboat.deploy.edges import GRACE_S
from tagboat.loops import PeriodicTask

SIGN_EVERY_S = 10.0
_LEASE = "server/"

log = structlog.get_logger("tagboat.presence")


class Sighting(NamedTuple):
    """A server or edge, by its id, and how many seconds ago it was last seen."""

    id: str
    age_s: float


async def keep_present(store: Store, own: str) -> None:
    """Say again and again that the server with the id `own` is alive; until cancelled."""

    async def sign() -> float:
        # A file has one server, which holds its lock.
        if not store.exclusive:
            await store.write(lambda tx: tx.acquire_lease(f"{_LEASE}{own}", own, GRACE_S))
        return SIGN_EVERY_S

    warn = partial(log.debug, "no sign of life is on record", action="sign of life")
    await PeriodicTask(sign, retry_s=SIGN_EVERY_S, warn=warn).run()


def others_seen(reader: Reader, own: str) -> tuple[Sighting, ...]:
    """Return the servers and edges that were seen in the last `GRACE_S` seconds, without our own.

    They are in the order of their ids.
    """
    ages = {holder: GRACE_S - left_s for holder, left_s in reader.leases(_LEASE).items()}
    for edge in reader.edges():
        ages[edge.id] = min(edge.age_s, ages.get(edge.id, edge.age_s))
    seen = (Sighting(*pair) for pair in sorted(ages.items()))
    return tuple(one for one in seen if one.id != own and one.age_s < GRACE_S)
