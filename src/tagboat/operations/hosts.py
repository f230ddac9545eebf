"""The hosts at which stages and instances answer.

Fronts ask for them before they get a certificate.
"""

import asyncio
import re
import time

from tagboat.core.hosts import full_host, looked_up_as
from tagboat.deploy.routes import routes
from tagboat.operations.services import OperationServices

REREAD_S = 5.0
"""Seconds for which a host that no stage claims, but an instance has, may be unknown still."""
_HOST_NAME = re.compile(r"[a-z0-9._-]{1,253}", re.ASCII)


class ServedHosts:
    """The hosts that are routed. Claims of stages are looked up; the rest is read now and then.

    Anybody can have a front ask for names without end: that must not read everything each time.
    """

    def __init__(self, services: OperationServices) -> None:
        self._services = services
        self._others: frozenset[str] = frozenset()
        self._read_at = -REREAD_S
        self._reading = asyncio.Lock()

    async def have(self, host: str) -> bool:
        """Return whether a stage or one of its instances answers at `host`, in lower case."""
        store, base_domain = self._services.store, self._services.base_domain
        # A text that cannot be a host never reaches the database.
        if not _HOST_NAME.fullmatch(host):
            return False
        asked = looked_up_as(host, base_domain)
        claims = await store.read(lambda reader: reader.host_claims(asked))
        if any(full_host(claim, base_domain) == host for claim in claims):
            return True
        # One reads, the others wait for it: they ask for the same.
        async with self._reading:
            if time.monotonic() - self._read_at >= REREAD_S:
                found = await store.read(lambda reader: routes(reader, base_domain))
                self._others = frozenset(route.host for route in found)
                self._read_at = time.monotonic()
        return host in self._others
