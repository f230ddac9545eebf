"""The worker: claims deploys from the database, carries them out side by side, and records that it is alive."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from tagboat.core.deploy import Deploy, DeployStatus
from tagboat.core.errors import NotFoundError, StoreUnavailableError, TagboatError
from tagboat.core.ports import Topic, Tx
from tagboat.deploy.containers import Parts
from tagboat.deploy.journal import TakenOverError
from tagboat.deploy.pipeline import Pipeline

MAX_PARALLEL = 16
CLAIM_S = 15.0
RENEW_S = 5.0
LOOK_EVERY_S = 1.0
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
    """Works on at most `MAX_PARALLEL` deploys at once, one for each stage. `holder` names this server among replicas."""

    def __init__(self, parts: Parts, holder: str) -> None:
        self._parts = parts
        self._holder = holder
        self._wake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stages: dict[str, str] = {}
        self._works: dict[str, asyncio.Task[None]] = {}
        self._called_off: set[str] = set()
        self._renewed_at = 0.0
        self._looked_at = 0.0

    async def run(self) -> None:
        """Work until cancelled; deploys in progress go on until `close`."""
        self._parts.store.listen(Topic.DEPLOYS, self._take_notice)
        while True:
            self._wake.clear()
            try:
                await self._look()
            except StoreUnavailableError as error:
                log.warning("the queue cannot be read", action="claim", reason=str(error))
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def close(self, grace_s: float) -> None:
        """Give the deploys in progress `grace_s` seconds to finish, then park the rest for the next start (or server)."""
        tasks = dict(self._tasks)
        if tasks:
            _, left = await asyncio.wait(tasks.values(), timeout=grace_s)
            await asyncio.gather(*(self._park(deploy_id) for deploy_id, task in tasks.items() if task in left))

    async def _park(self, deploy_id: str) -> None:
        await _cancel([task for task in (self._tasks.get(deploy_id),) if task])
        try:
            async with asyncio.timeout(PARK_S):
                await Pipeline(self._parts, deploy_id).park()
        except (TagboatError, TakenOverError, TimeoutError) as error:
            log.warning("the deploy is left as it is", action="park", deploy=deploy_id, reason=str(error))

    async def abandon(self, stage_ids: Iterable[str]) -> None:
        """Stop working on the deploys of these stages, wherever they are; their containers stay for the caller to remove."""
        wanted = set(stage_ids)
        await _cancel([task for deploy_id, task in self._tasks.items() if self._stages[deploy_id] in wanted])

    def _take_notice(self) -> None:
        """Look at the queue, at once or when the last look is `BREATH_S` past."""
        loop = asyncio.get_running_loop()
        wait_s = self._looked_at + BREATH_S - loop.time()
        if wait_s <= 0:
            self._wake.set()
        else:
            loop.call_later(wait_s, self._wake.set)

    async def _look(self) -> None:
        """Claim what is due and begin it; renew the claims on what is in progress."""
        self._looked_at = loop_time = asyncio.get_running_loop().time()
        renew = loop_time - self._renewed_at >= RENEW_S
        claims = await self._parts.store.write(lambda tx: self._claim(tx, renew=renew))
        for deploy_id in claims.lost:
            self._let_go(deploy_id)
        for deploy_id in claims.called_off - self._called_off:
            self._call_off(deploy_id)
        for deploy in claims.begun:
            self._stages[deploy.id] = deploy.stage_id
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
        self._wake.set()

    def _let_go(self, deploy_id: str) -> None:
        if task := self._tasks.get(deploy_id):
            log.warning("another server has taken the deploy over", action="claim", deploy=deploy_id)
            task.cancel()

    def _call_off(self, deploy_id: str) -> None:
        """Break off whatever it is about; `_work` then takes it back."""
        if work := self._works.get(deploy_id):
            self._called_off.add(deploy_id)
            work.cancel()

    def _claim(self, tx: Tx, *, renew: bool) -> _Claims:
        now = self._parts.clock()
        claimed = partial(replace, claimed_by=self._holder, claimed_until=now + timedelta(seconds=CLAIM_S))
        open_deploys = tx.all_open_deploys()
        due = claimable(open_deploys, set(self._tasks), self._holder, now)
        begun = [
            claimed(deploy, status=DeployStatus.RUNNING, started_at=deploy.started_at or now)
            for deploy in due[: MAX_PARALLEL - len(self._tasks)]
        ]
        mine = [deploy for deploy in open_deploys if deploy.id in self._tasks]
        # Whoever slept through the end of its claim, or could not reach the database, may find another at work.
        lost = {deploy.id for deploy in mine if deploy.claimed_by not in {None, self._holder}}
        renewed = [claimed(deploy) for deploy in mine if renew and deploy.id not in lost]
        for deploy in (*begun, *renewed):
            tx.put_deploy(deploy)
        return _Claims(begun, lost, {deploy.id for deploy in mine if deploy.cancelling and deploy.id not in lost})

    async def _carry_out(self, deploy: Deploy) -> None:
        with structlog.contextvars.bound_contextvars(deploy=deploy.id):
            try:
                await self._work(deploy.id)
            except NotFoundError:
                log.info("the deploy was deleted", action="carry_out")
            except TakenOverError:
                log.info("the deploy was withdrawn, or another server is at it", action="carry_out")
            except StoreUnavailableError as error:
                log.warning("the deploy waits for the database", action="carry_out", reason=str(error))
                await asyncio.sleep(LOOK_EVERY_S)
            except Exception:
                # It is gone on with at the next look, as after a death: not in a frenzy, and not without a word.
                log.exception("a fault inside Tagboat", action="carry_out")
                await asyncio.sleep(LOOK_EVERY_S)

    async def _work(self, deploy_id: str) -> None:
        work = self._works[deploy_id] = asyncio.create_task(Pipeline(self._parts, deploy_id).carry_out())
        try:
            await work
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if deploy_id not in self._called_off or (this and this.cancelling()):
                raise
            await Pipeline(self._parts, deploy_id).carry_out()


def claimable(open_deploys: Iterable[Deploy], mine: set[str], holder: str, now: datetime) -> list[Deploy]:
    """The deploys that may be begun or gone on with, oldest first, at most one for each stage.

    A running one may be taken over when nobody works on it: nobody claims it, its claim has run out, or it is claimed in
    this server's name by a process that died.
    """
    due: list[Deploy] = []
    busy: set[str] = set()
    ordered = sorted(open_deploys, key=lambda deploy: (deploy.status is DeployStatus.QUEUED, deploy.id))
    for deploy in ordered:
        if deploy.stage_id in busy:
            continue
        busy.add(deploy.stage_id)
        if deploy.id not in mine and (deploy.status is DeployStatus.QUEUED or _is_abandoned(deploy, holder, now)):
            due.append(deploy)
    return due


def _is_abandoned(deploy: Deploy, holder: str, now: datetime) -> bool:
    return deploy.claimed_by in {None, holder} or deploy.claimed_until is None or deploy.claimed_until <= now


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
