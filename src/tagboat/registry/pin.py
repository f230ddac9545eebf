"""Which login service a registry's password goes to: the first that has accepted it, on record from then on."""

from dataclasses import replace

import structlog

from tagboat.core.errors import NotFoundError, StoreUnavailableError
from tagboat.core.ports import Store, Tx
from tagboat.registry.site import Site, site_of

log = structlog.get_logger("tagboat.registries")


async def pin_login_service(store: Store, site: Site, origin: str) -> None:
    """Put `origin` (`https://HOST[:PORT]`) on record for a registry, unless it is at another URL by now, or has another login.

    Raises nothing: the login has succeeded.
    """

    def work(tx: Tx) -> None:
        registry = tx.registry(site.id)
        if site_of("", registry) == site:
            tx.put_registry(replace(registry, login_service=origin))

    try:
        await store.write(work)
    except (NotFoundError, StoreUnavailableError) as error:
        log.warning("login service not recorded", action="login", service=origin, reason=str(error))
