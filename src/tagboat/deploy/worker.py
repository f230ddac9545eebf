"""The worker: claims deploys from the database, carries them out side by side, and records that it is alive."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from tagboat.core.deploy import Deploy, DeployStatus
from tagboat.core.errors import NotFoundError, StoreUnavailableError, TagboatError
from tagboat.core.ports import Reader, Topic, Tx
from tagboat.deploy.pipeline import Pipeline
from tagboat.deploy.record import ClaimLostError
from tagboat.deploy.services import DeployServices

MAX_CLAIMED = 256
"""Deploys in progress at once, those that only wait among them: each takes memory."""
CLAIM_S = 15.0
RENEW_S = 5.0
LOOK_EVERY_S = 1.0
"""Seconds between two looks where other servers may leave work behind unsaid, and before what failed is tried again."""
LOOK_ALONE_EVERY_S = 30.0
"""Seconds between two looks where no other server writes: whatever is to be done is announced, or was there at the start."""
PARK_S = 4.5
"""Seconds to leave a deploy in order as the server stops; after that it is left as a death would leave it."""
BREATH_S = 0.02
"""Seconds between two looks at least: thousands of pushes a second must not be thousands of looks."""

log = structlog.get_logger("tagboat.worker")


@dataclass(frozen=True, slots=True)
class _Claims:
    """What a look at the queue came to: deploys to begin; ids of those in progress that others took over, or called off."""

    begun: list[Deploy]
    lost: set[str]
    called_off: set[str]


class Worker:
    """Works on as many deploys at once as there are places, one for each stage; `holder` names this server among replicas.

    Those that only wait take no place, but no more than `MAX_CLAIMED` are in progress.
    """

    def __init__(self, services: DeployServices, holder: str) -> None:
        self._services = services
        self._holder = holder
        self._wake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stages: dict[str, str] = {}
        self._works: dict[str, asyncio.Task[None]] = {}
        self._called_off: set[str] = set()
        self._renewed_at = 0.0
        self._looked_at = 0.0
        services.places.on_free = self._take_notice

    async def run(self) -> None:
        """Work until cancelled; deploys in progress go on until `close`."""
        self._services.store.listen(Topic.DEPLOYS, self._take_notice)
        while True:
            self._wake.clear()
            pause = self._pause_s()
            try:
                await self._look()
            except StoreUnavailableError as error:
                log.warning("the queue cannot be read", action="claim", reason=str(error))
                pause = LOOK_EVERY_S
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def close(self, grace_s: float) -> None:
        """Give the deploys in progress `grace_s` seconds to finish, then park the rest for the next start (or server)."""
        tasks = dict(self._tasks)
        if tasks:
            _, left = await asyncio.wait(tasks.values(), timeout=grace_s)
            await asyncio.gather(
                *(self._park(deploy_id) for deploy_id, task in tasks.items() if task in left)
            )

    async def _park(self, deploy_id: str) -> None:
        try:
            async with asyncio.timeout(PARK_S):
                await _cancel([task for task in (self._tasks.get(deploy_id),) if task])
                await Pipeline(self._services, deploy_id).park()
        except (TagboatError, ClaimLostError, TimeoutError) as error:
            log.warning(
                "the deploy is left as it is", action="park", deploy=deploy_id, reason=str(error)
            )

    async def abandon(self, stage_ids: Iterable[str]) -> None:
        """Stop working on the deploys of these stages, wherever they are; their containers stay for the caller to remove."""
        wanted = set(stage_ids)
        await _cancel(
            [task for deploy_id, task in self._tasks.items() if self._stages[deploy_id] in wanted]
        )

    def _take_notice(self) -> None:
        """Look at the queue, at once or when the last look is `BREATH_S` past."""
        loop = asyncio.get_running_loop()
        wait_s = self._looked_at + BREATH_S - loop.time()
        if wait_s <= 0:
            self._wake.set()
        else:
            loop.call_later(wait_s, self._wake.set)

    def _pause_s(self) -> float:
        """Seconds until the next look, if nothing wakes the worker."""
        if not self._services.store.exclusive:
            return LOOK_EVERY_S
        return RENEW_S if self._tasks else LOOK_ALONE_EVERY_S

    async def _look(self) -> None:
        """Claim what is due and begin it, renew the claims on what is in progress; write nothing where there is neither."""
        self._looked_at = loop_time = asyncio.get_running_loop().time()
        renew = loop_time - self._renewed_at >= RENEW_S
        claims = await self._services.store.read(self._find)
        if claims.begun or (renew and self._tasks):
            claims = await self._services.store.write(lambda tx: self._claim(tx, renew=renew))
        for deploy_id in claims.lost:
            self._let_go(deploy_id)
        for deploy_id in claims.called_off - self._called_off:
            self._call_off(deploy_id)
        for deploy in claims.begun:
            self._stages[deploy.id] = deploy.stage_id
            self._services.places.take()
            task = asyncio.create_task(self._carry_out(deploy))
            self._tasks[deploy.id] = task
            task.add_done_callback(partial(self._forget, deploy.id))
        if renew:
            self._renewed_at = loop_time

    def _forget(self, deploy_id: str, _task: asyncio.Task[None]) -> None:
        self._tasks.pop(deploy_id, None)
        self._stages.pop(deploy_id, None)
        self._works.pop(deploy_id, None)
        self._called_off.discard(deploy_id)
        self._services.places.leave()
        self._wake.set()

    def _let_go(self, deploy_id: str) -> None:
        if task := self._tasks.get(deploy_id):
            log.warning(
                "another server has taken the deploy over", action="claim", deploy=deploy_id
            )
            task.cancel()

    def _call_off(self, deploy_id: str) -> None:
        """Break off whatever it is about; `_work` then takes it back."""
        if work := self._works.get(deploy_id):
            self._called_off.add(deploy_id)
            work.cancel()

    def _find(self, reader: Reader) -> _Claims:
        """What may be begun as things stand, and which deploys in progress are disturbed."""
        mine, now = set(self._tasks), self._services.clock()
        room = min(self._services.places.free, MAX_CLAIMED - len(mine))
        begun = reader.claimable_deploys(self._holder, now, mine, room) if room > 0 else []
        disturbed = reader.disturbed_deploys(self._holder, mine)
        # Whoever slept through the end of its claim, or could not reach the database, may find another at work.
        lost = {deploy.id for deploy in disturbed if deploy.claimed_by not in {None, self._holder}}
        return _Claims(
            begun,
            lost,
            {deploy.id for deploy in disturbed if deploy.cancelling and deploy.id not in lost},
        )

    def _claim(self, tx: Tx, *, renew: bool) -> _Claims:
        now = self._services.clock()
        until = now + timedelta(seconds=CLAIM_S)
        if renew:
            tx.renew_claims(self._holder, set(self._tasks), until)
        found = self._find(tx)
        claimed = partial(
            replace, status=DeployStatus.RUNNING, claimed_by=self._holder, claimed_until=until
        )
        begun = [claimed(deploy, started_at=deploy.started_at or now) for deploy in found.begun]
        for deploy in begun:
            tx.put_deploy(deploy)
        return replace(found, begun=begun)

    async def _carry_out(self, deploy: Deploy) -> None:
        with structlog.contextvars.bound_contextvars(deploy=deploy.id):
            try:
                await self._work(deploy.id)
            except NotFoundError:
                log.info("the deploy was deleted", action="carry_out")
            except ClaimLostError:
                log.info("the deploy was withdrawn, or another server is at it", action="carry_out")
            except StoreUnavailableError as error:
                log.warning(
                    "the deploy waits for the database", action="carry_out", reason=str(error)
                )
                await asyncio.sleep(LOOK_EVERY_S)
            except Exception:
                # It is gone on with at the next look, as after a death: not in a frenzy, and not without a word.
                log.exception("a fault inside Tagboat", action="carry_out")
                await asyncio.sleep(LOOK_EVERY_S)

    async def _work(self, deploy_id: str) -> None:
        work = self._works[deploy_id] = asyncio.create_task(
            Pipeline(self._services, deploy_id).carry_out()
        )
        try:
            await work
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if deploy_id not in self._called_off or (this and this.cancelling()):
                raise
            await Pipeline(self._services, deploy_id).carry_out()


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
