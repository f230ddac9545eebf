"""Deploys, and what their stages keep for later."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, select

from tagboat.core.catalog import HeldPush
from tagboat.core.deploy import Deploy, DeployStatus, TakenBack
from tagboat.core.events import deploy_changes
from tagboat.core.image import Digest
from tagboat.core.run import RunConfig
from tagboat.core.values import replace
from tagboat.store import claims, tables
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import (
    CHANGED_DEPLOYS,
    HELD_PUSHES,
    NEW_DEPLOYS,
    Values,
    WriteSession,
    missing,
)
from tagboat.store.statements import newest_first, where

_deploys, _offers, _taken_back = (
    tables.deploys_table,
    tables.offers_table,
    tables.taken_back_table,
)
# Made once: making them takes longer than running them.
_OPEN = select(_deploys).where(tables.OPEN)
# Made once above all: an alias copies every column, for the collector of garbage to find.
_few = _deploys.alias("few")
_IS_AMONG_OPEN = _deploys.c.id.in_(select(_few.c.id).where(tables.OPEN))
_OPEN_IN_STAGE = where(_deploys.c.stage_id).where(tables.OPEN)
_RUNNING = select(_deploys).where(claims.RUNNING(_deploys))
_HELD_PUSHES = where(_offers.c.stage_id).order_by(_offers.c.seen_at, _offers.c.tag)
_TAKEN_BACK = where(_taken_back.c.stage_id).order_by(_taken_back.c.at.desc(), _taken_back.c.digest)
_CONFIG = where(tables.deploy_configs_table.c.deploy_id).with_only_columns(
    tables.deploy_configs_table.c.config
)
_UNSUCCESSFUL = frozenset({DeployStatus.FAILED, DeployStatus.SUPERSEDED, DeployStatus.CANCELLED})


class DeployReads(ReadPart):
    """Implements `DeployReader` but for the instances."""

    def deploy(self, deploy_id: str) -> Deploy:
        """Return the deploy of that id."""
        found = self._deploys_of(where(_deploys.c.id), {"id": deploy_id})
        return found[0] if found else missing("deploy", deploy_id)

    def deploy_config(self, deploy_id: str) -> RunConfig | None:
        """Return the configuration of a deploy's containers, None before that is known."""
        sealed = self._session.scalar(_CONFIG, {"deploy_id": deploy_id})
        return None if sealed is None else self._rows.config(sealed, deploy_id)

    def held_pushes(self, stage_id: str) -> list[HeldPush]:
        """Return what came while the stage was held, oldest first."""
        return self._session.all(HeldPush, _HELD_PUSHES, {"stage_id": stage_id})

    def taken_back(self, stage_id: str) -> list[TakenBack]:
        """Return what went live in the stage and was taken back, the latest first."""
        return self._session.all(TakenBack, _TAKEN_BACK, {"stage_id": stage_id})

    def open_deploys(self, stage_id: str) -> list[Deploy]:
        """Return the queued and running deploys of a stage, oldest first."""
        return self._oldest_first(_OPEN_IN_STAGE, {"stage_id": stage_id})

    def all_open_deploys(self) -> list[Deploy]:
        """Return the queued and running deploys of all stages, oldest first."""
        return self._oldest_first(_OPEN)

    def running_deploys(self) -> list[Deploy]:
        """Return the running deploys of all stages, oldest first."""
        return self._oldest_first(_RUNNING)

    def claimable_deploys(self, holder: str, mine: Collection[str], limit: int) -> list[Deploy]:
        """Return those that `holder`, at work on `mine`, may begin or go on with, one a stage.

        First running ones on which nobody works, then the oldest of each stage where none is
        running; `limit` in all.
        """
        values = {"holder": holder, "now": self._session.now(), "mine": list(mine)}
        abandoned = self._oldest_first(claims.abandoned(self._session.dialect), values)
        found = abandoned[:limit]
        return found + self._deploys_of(claims.next_queued(), {"most": limit - len(found)})

    def disturbed_deploys(self, mine: Mapping[str, int]) -> list[Deploy]:
        """Return those of `mine`, ids with the numbers of our claims, that need a look.

        They are to be cancelled, or have been claimed again since.
        """
        if not mine:
            return []
        return self._deploys_of(claims.disturbed(self._session.dialect), {"mine": dict(mine)})

    def deploys(
        self,
        *,
        project_id: str | None = None,
        stage_id: str | None = None,
        statuses: Collection[DeployStatus] = (),
        before: str = "",
        limit: int | None = None,
    ) -> list[Deploy]:
        """Return deploys, newest first, from the first older than the id `before`."""
        table = tables.deploys_table
        equal = {"project_id": project_id, "stage_id": stage_id}
        query, values = newest_first(table, equal, before, limit)
        if statuses:
            query = query.where(table.c.status.in_(statuses))
        if statuses and not any(status.final for status in statuses):
            # By the small index of open ones: in the order of ids, SQLite would look at every
            # deploy there ever was to find the few.
            query = query.where(_IS_AMONG_OPEN)
        elif _UNSUCCESSFUL.issuperset(statuses) and len(statuses) == 1:
            # The same for those without success, of all stages. Said once more in literals, which
            # the partial index is found by.
            query = query.where(tables.UNSUCCESSFUL)
        return self._deploys_of(query, values)

    def _oldest_first(self, query: Select[Any], values: Values = None) -> list[Deploy]:
        # Sorted here: asked for an order, SQLite walks through every deploy there ever was instead
        # of the few open ones.
        return sorted(self._deploys_of(query, values), key=lambda deploy: deploy.id)

    def _deploys_of(self, query: Select[Any], values: Values = None) -> list[Deploy]:
        return self._session.all(Deploy, query, values)


class DeployWrites(DeployReads):
    """Implements `DeployWriter` but for the instances. Reads of the webhook path are remembered."""

    _session: WriteSession

    def open_deploys(self, stage_id: str) -> list[Deploy]:
        """Return the queued and running deploys of a stage, oldest first."""
        remembered = self._session.memory.open_deploys
        if stage_id not in remembered:
            remembered[stage_id] = {one.id: one for one in super().open_deploys(stage_id)}
        return list(remembered[stage_id].values())

    def taken_back(self, stage_id: str) -> list[TakenBack]:
        """Return what went live in the stage and was taken back, the latest first."""
        remembered = self._session.memory.taken_back
        if stage_id not in remembered:
            remembered[stage_id] = super().taken_back(stage_id)
        return remembered[stage_id]

    def add_deploy(self, deploy: Deploy) -> None:
        """Add a deploy."""
        # Remembered before it waits: else the next look at the stage would have to send it.
        self.open_deploys(deploy.stage_id)
        self._session.gather(NEW_DEPLOYS, deploy.id, deploy)
        self._note(None, deploy)

    def put_deploy(self, deploy: Deploy) -> None:
        """Replace a deploy."""
        session = self._session
        remembered = session.memory.open_deploys.get(deploy.stage_id, {})
        old = session.deploys.get(deploy.id) or remembered.get(deploy.id)
        # Only what was read by neither is read here; then there is something to compare with.
        old = old or self.deploy(deploy.id)
        is_new = session.waiting(NEW_DEPLOYS, deploy.id) is not None
        session.gather(NEW_DEPLOYS if is_new else CHANGED_DEPLOYS, deploy.id, deploy)
        self._note(old, deploy)

    def claim_deploy(self, deploy: Deploy, holder: str, for_s: float) -> Deploy:
        """Claim a deploy for `holder`, and return it as running and claimed for so many seconds.

        All claims before this one are lost.
        """
        claimed = replace(
            deploy,
            status=DeployStatus.RUNNING,
            claimed_by=holder,
            claimed_until=self._session.now() + timedelta(seconds=for_s),
            claim=deploy.claim + 1,
        )
        self.put_deploy(claimed)
        return claimed

    def renew_claims(self, mine: Mapping[str, int], for_s: float) -> frozenset[str]:
        """Let our claims last `for_s` seconds from now; return the ids of those not lost by then.

        `mine` are the numbers of our claims by the ids of their deploys.
        """
        until = self._session.now() + timedelta(seconds=for_s)
        statement = claims.renewed(self._session.dialect)
        held = frozenset(self._session.scalars(statement, {"mine": dict(mine), "until": until}))
        self._session.memory.forget_deploys(mine)
        return held

    def put_deploy_config(self, deploy_id: str, config: RunConfig) -> None:
        """Record the configuration of a deploy's containers, sealed."""
        sealed = self._rows.of_config(config, deploy_id)
        self._session.upsert(
            tables.deploy_configs_table, {"deploy_id": deploy_id, "config": sealed}
        )

    def add_held_push(self, offer: HeldPush) -> None:
        """Keep a push until its stage is released; a later one of the tag replaces it."""
        self._session.gather(HELD_PUSHES, (offer.stage_id, offer.tag), offer)

    def delete_held_pushes(self, stage_id: str) -> None:
        """Forget what came while the stage was held."""
        self._session.execute(
            delete(tables.offers_table).where(tables.offers_table.c.stage_id == stage_id)
        )

    def delete_held_tag(self, project_id: str, tag: str) -> None:
        """Forget what waits by this tag in the stages of a project."""
        stages = select(tables.stages_table.c.id).where(
            tables.stages_table.c.project_id == project_id
        )
        self._session.execute(
            delete(_offers).where(_offers.c.stage_id.in_(stages), _offers.c.tag == tag)
        )

    def put_taken_back(self, version: TakenBack) -> None:
        """Remember that a version was taken back in its stage."""
        self._session.upsert(tables.taken_back_table, to_row(version))
        self._session.memory.taken_back.pop(version.stage_id, None)

    def delete_taken_back(self, stage_id: str, digest: Digest) -> None:
        """Forget that a digest was taken back in the stage."""
        table = tables.taken_back_table
        self._session.execute(
            delete(table).where(table.c.stage_id == stage_id, table.c.digest == digest)
        )
        self._session.memory.taken_back.pop(stage_id, None)

    def _note(self, old: Deploy | None, new: Deploy) -> None:
        self._session.memory.note(new)
        self._session.deploys[new.id] = new
        if new.status.final and not (old and old.status.final):
            self._session.ended.append((new.stage_id, new.status))
        for change in deploy_changes(old, new):
            self._session.record(change)

    def _deploys_of(self, query: Select[Any], values: Values = None) -> list[Deploy]:
        found = super()._deploys_of(query, values)
        # Nothing that waits is older than this: it was sent before the query.
        self._session.deploys.update({deploy.id: deploy for deploy in found})
        return found
