"""The login service of a registry, on record from its first success: passwords go nowhere else."""

import structlog

from tagboat.core.errors import NotFoundError, StoreUnavailableError
from tagboat.core.ports import Store, Tx
from tagboat.core.values import replace
from tagboat.registry.endpoint import RegistryEndpoint, endpoint_for

log = structlog.get_logger("tagboat.registries")


async def pin_login_service(store: Store, endpoint: RegistryEndpoint, origin: str) -> None:
    """Record `origin` (`https://HOST[:PORT]`) as a registry's login service.

    Does nothing if the registry has another URL or login by now. Raises nothing: the login itself
    has succeeded.
    """

    def work(tx: Tx) -> None:
        registry = tx.registry(endpoint.id)
        # A password that a command prints is on record nowhere.
        is_stored = not registry.password_command
        known = endpoint if is_stored else replace(endpoint, credentials=None)
        # A login that was changed since has its own first success.
        if endpoint_for("", registry) == known:
            tx.put_registry(replace(registry, login_service=origin))

    try:
        await store.write(work)
    except (NotFoundError, StoreUnavailableError) as error:
        log.warning("login service not recorded", action="login", service=origin, reason=str(error))
