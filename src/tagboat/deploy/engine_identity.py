"""The one engine of an installation: servers that share its database must share that too.

On another engine, a server would find no container of the records, and start each app again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from tagboat.core.config import ENGINE_ID
from tagboat.core.errors import EngineError, SettingsError
from tagboat.core.ports import Store, Tx
from tagboat.core.runtime import Runtime

ASK_AGAIN_S = 5.0

log = structlog.get_logger("tagboat.engine")


async def claim_engine(store: Store, runtime: Runtime, moved_to: str = "") -> bool:
    """Record the engine at the first launch; return False where it cannot be asked yet.

    `moved_to` is the id of the engine that the installation has moved to, empty for none: where the
    engine has that id, it takes the place of the one on record. Raises SettingsError for an engine
    that is neither. Where no other server writes to the database, everything may move freely.
    """
    if store.exclusive:
        return True
    try:
        found = await runtime.identity()
    except EngineError as error:
        log.warning("the engine cannot be asked who it is", action="start", reason=str(error))
        return False
    known = await store.read(lambda reader: reader.setting(ENGINE_ID))

    def record(tx: Tx) -> str:
        on_record = tx.setting(ENGINE_ID)
        if on_record is not None and moved_to != found:
            return str(on_record)
        tx.put_setting(ENGINE_ID, found)
        return found

    if found and known != found:
        known = await store.write(record)
    # One without an id cannot be told from others.
    if not found or known == found:
        return True
    raise SettingsError(
        f"the database belongs to another engine (id {known}) than this server uses (id {found}),"
        " where it would start a second copy of each app. Set TAGBOAT_DOCKER_HOST to that engine,"
        " or TAGBOAT_DATABASE_URL to another database. If everything has moved to this engine for"
        f" good, stop all other servers and set TAGBOAT_ENGINE_ID={found}"
    )


async def once_claimed(
    claim: Callable[[], Awaitable[bool]], work: Callable[[], Awaitable[None]]
) -> None:
    """Do `work` once `claim` returns True; until then, or while it is refused, do nothing."""
    said = ""
    while True:
        try:
            if await claim():
                break
        except SettingsError as error:
            if said != str(error):
                log.error("nothing is deployed", action="start", reason=str(error))  # noqa: TRY400
            said = str(error)
        await asyncio.sleep(ASK_AGAIN_S)
    await work()
