"""The worker: claims deploys from the database, carries them out, and keeps its claims alive."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from msgspec import Struct, field

from tagboat.core.deploy import Deploy
from tagboat.core.errors import NotFoundError, StoreUnavailableError, TagboatError
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.core.values import replace
from tagboat.deploy.fence import CLAIM_S, MARGIN_S, ClaimLostError, Fence, awake_s
from tagboat.deploy.log_words import words_about
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.services import DeployServices
from tagboat.loops import PeriodicTask

MAX_CLAIMED = 256
"""Deploys in progress at once, with those that only wait: each takes memory."""
RENEW_S = 5.0
LOOK_EVERY_S = 1.0
"""Seconds before a look that failed is tried again."""
LOOK_ALONE_EVERY_S = 30.0
"""Seconds between looks where no other server writes: all work is announced, or was there."""
PARK_S, PARK_SHARED_S = 4.5, 3.5
"""Seconds to park a deploy as the server stops; after that it is left as a death would leave it.

The second is for a database that others share: one of them goes on with it, and it may be silent.
"""
LOOK_MIN_INTERVAL_S = 0.02
"""Seconds between two looks at least: thousands of pushes must not be thousands of looks."""

log = structlog.get_logger("tagboat.worker")


class QueueLook(Struct, frozen=True):
    """The outcome of a look at the queue.

    `begun` are deploys to begin, `lost` ids of deploys in progress that another server has claimed,
    and `called_off` ids of those to be cancelled. `renewed` are ids of those whose claims last for
    `CLAIM_S` seconds from the look on.
    """

    begun: list[Deploy]
    lost: set[str]
    called_off: set[str]
    renewed: frozenset[str] = field(default=frozenset())


class Worker:
    """Carries out as many deploys at once as there are places, one for each stage.

    `holder` names this server among replicas. Deploys that only wait take no place, but no more
    than `MAX_CLAIMED` are in progress.
    """

    def __init__(self, services: DeployServices, holder: str) -> None:
        self._services = services
        self._holder = holder
        self._looks = PeriodicTask(
            self._look,
            retry_s=LOOK_EVERY_S,
            warn=partial(log.warning, "the queue cannot be read", action="claim"),
            fault=StoreUnavailableError,
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._deploys: dict[str, Deploy] = {}
        self._works: dict[str, asyncio.Task[None]] = {}
        self._fences: dict[str, Fence] = {}
        self._called_off: set[str] = set()
        self._renewed_at = 0.0
        self._looked_at = 0.0
        services.places.on_free = self._take_notice

    async def run(self) -> None:
        """Work until cancelled; deploys in progress go on until `close`."""
        self._services.store.listen(Topic.DEPLOYS, self._take_notice)
        await self._looks.run()

    async def close(self, grace_s: float) -> None:
        """Give the deploys in progress `grace_s` seconds, then park the rest for another start."""
        store = self._services.store

        async def park(deploy_id: str, names: asyncio.Task[dict[str, str]]) -> None:
            fence = self._fences[deploy_id]
            try:
                async with asyncio.timeout(PARK_S if store.exclusive else PARK_SHARED_S):
                    await _cancel([task for task in (self._tasks.get(deploy_id),) if task])
                    await Pipeline(self._services, deploy_id, fence).park()
            except (TagboatError, ClaimLostError, TimeoutError) as error:
                words = {**await names, "reason": str(error)}
                log.warning("the deploy is left as it is", action="park", **words)

        # A copy, since each task takes itself out as it ends.
        tasks = dict(self._tasks)
        if not tasks:
            return
        # Asked for by now: a database that is silent must not be waited for once more.
        names = {key: asyncio.create_task(words_about(store, self._deploys[key])) for key in tasks}
        _, left = await asyncio.wait(tasks.values(), timeout=grace_s)
        parked = [key for key, task in tasks.items() if task in left]
        await asyncio.gather(*(park(key, names[key]) for key in parked))
        await _cancel(names.values())

    async def abandon(self, stage_ids: Iterable[str]) -> None:
        """Stop working on the deploys of these stages; the caller removes their containers."""
        wanted = set(stage_ids)
        await _cancel(
            [
                task
                for deploy_id, task in self._tasks.items()
                if self._deploys[deploy_id].stage_id in wanted
            ]
        )

    def _take_notice(self) -> None:
        """Look at the queue at once, or when the last look is `LOOK_MIN_INTERVAL_S` ago."""
        loop = asyncio.get_running_loop()
        wait_s = self._looked_at + LOOK_MIN_INTERVAL_S - loop.time()
        if wait_s <= 0:
            self._looks.wake()
        else:
            loop.call_later(wait_s, self._looks.wake)

    async def _look(self) -> float:
        """Claim and begin what is due, and renew the claims; write only where there is either.

        Returns the seconds until the next look.
        """

        def forget(deploy_id: str, _task: asyncio.Task[None]) -> None:
            self._tasks.pop(deploy_id, None)
            self._deploys.pop(deploy_id, None)
            self._works.pop(deploy_id, None)
            self._fences.pop(deploy_id, None)
            self._called_off.discard(deploy_id)
            self._services.places.leave()
            # Another deploy may have waited for its place, or for its stage.
            self._looks.wake()

        self._looked_at = loop_time = asyncio.get_running_loop().time()
        # From before the write: by the database, the claims last longer than that.
        until = awake_s() + CLAIM_S - MARGIN_S
        renew = loop_time - self._renewed_at >= RENEW_S
        # The numbers of our claims by the ids of their deploys: threads look at these.
        mine = {deploy_id: self._deploys[deploy_id].claim for deploy_id in self._tasks}
        claims = await self._services.store.read(lambda reader: self._find(reader, mine))
        # Found once more by the write: another server may have claimed it since the read.
        if claims.begun or (renew and mine):
            claims = await self._services.store.write(lambda tx: self._claim(tx, mine, renew=renew))
        for deploy_id in claims.lost & self._tasks.keys():
            words = "another server has taken the deploy over"
            names = await words_about(self._services.store, self._deploys[deploy_id])
            log.warning(words, action="claim", **names)
            self._tasks[deploy_id].cancel()
        for deploy_id in (claims.called_off - self._called_off) & self._works.keys():
            # Breaks off whatever it is doing; `_carry_out` then takes it back.
            self._called_off.add(deploy_id)
            self._works[deploy_id].cancel()
        for deploy_id in claims.renewed & self._fences.keys():
            self._fences[deploy_id].until = until
        for deploy in claims.begun:
            self._deploys[deploy.id] = deploy
            self._fences[deploy.id] = Fence(self._services.store, deploy.id, deploy.claim, until)
            self._services.places.take()
            task = asyncio.create_task(self._carry_out(deploy))
            self._tasks[deploy.id] = task
            task.add_done_callback(partial(forget, deploy.id))
        # Not before the write: after a failed one, the next look has to renew them.
        if renew:
            self._renewed_at = loop_time
        # What other servers leave is announced, but for the claims of one that died.
        shared = not self._services.store.exclusive
        return RENEW_S if self._tasks or shared else LOOK_ALONE_EVERY_S

    def _find(self, reader: Reader, mine: Mapping[str, int]) -> QueueLook:
        """Return the deploys that may begin as things stand, and those that are disturbed."""
        room = min(self._services.places.free, MAX_CLAIMED - len(mine))
        begun = reader.claimable_deploys(self._holder, mine, room) if room > 0 else []
        disturbed = reader.disturbed_deploys(mine)
        # A server that slept past the end of its claim, or could not reach the database, may find
        # another one at work.
        # One that was withdrawn notices that itself.
        again = [one for one in disturbed if one.claim != mine[one.id]]
        lost = {one.id for one in again if not one.status.final}
        called_off = {one.id for one in disturbed if one.cancelling and one.id not in lost}
        return QueueLook(begun, lost, called_off)

    def _claim(self, tx: Tx, mine: Mapping[str, int], *, renew: bool) -> QueueLook:
        renewed = tx.renew_claims(mine, CLAIM_S) if renew else frozenset()
        found, now = self._find(tx, mine), self._services.clock()
        begun = [replace(deploy, started_at=deploy.started_at or now) for deploy in found.begun]
        begun = [tx.claim_deploy(deploy, self._holder, CLAIM_S) for deploy in begun]
        return replace(found, begun=begun, renewed=renewed)

    async def _carry_out(self, deploy: Deploy) -> None:
        store, fence = self._services.store, self._fences[deploy.id]
        try:
            work = asyncio.create_task(Pipeline(self._services, deploy.id, fence).carry_out())
            self._works[deploy.id] = work
            try:
                await work
            except asyncio.CancelledError:
                this = asyncio.current_task()
                # Not called off, or cancelled itself as well: the server stops, or has lost the
                # claim.
                if deploy.id not in self._called_off or (this and this.cancelling()):
                    raise
                # Begun again, it finds on record that it is to be cancelled: it is taken back.
                await Pipeline(self._services, deploy.id, fence).carry_out()
        except NotFoundError:
            names = await words_about(store, deploy)
            log.info("the deploy was deleted", action="carry_out", **names)
        except ClaimLostError:
            said = "the deploy was withdrawn, or another server is at it"
            log.info(said, action="carry_out", **await words_about(store, deploy))
        except StoreUnavailableError as error:
            names = {**await words_about(store, deploy), "reason": str(error)}
            log.warning("the deploy waits for the database", action="carry_out", **names)
            await asyncio.sleep(LOOK_EVERY_S)
        except Exception:
            # The next look goes on with it, as after a death: not at once, and not silently.
            names = await words_about(store, deploy)
            log.exception("a fault inside Tagboat", action="carry_out", **names)
            await asyncio.sleep(LOOK_EVERY_S)


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
