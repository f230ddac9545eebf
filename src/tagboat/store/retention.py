"""Images and history that are still wanted, and the removal of those that are not."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import (
    ColumnElement,
    FromClause,
    and_,
    delete,
    distinct,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from tagboat.core.deploy import ACTIVE_STATES
from tagboat.core.image import Digest, ImageName
from tagboat.core.keeping import LEAST_TARGETS, WERE_LIVE, Deletion, PulledImage
from tagboat.core.principal import SERVER, Principal
from tagboat.store import tables, upkeep_tables
from tagboat.store.part import ReadPart
from tagboat.store.rows import to_row
from tagboat.store.session import WriteSession

_DIGESTS_LOOKED_AT = 20
_pulled = upkeep_tables.pulled_images_table
_deploys = tables.deploys_table
_removals = upkeep_tables.removals_table


class RetentionReads(ReadPart):
    """Implements `RetentionReader`.

    `keep` is how many of the last digests of each stage are wanted, counting what is live.
    """

    def pulled_image(self, image: ImageName, digest: Digest) -> PulledImage | None:
        """Return the record of an image that Tagboat has pulled, None if it has not."""
        return self._session.first(PulledImage, select(_pulled).where(_is_image(image, digest)))

    def pulled_images(self) -> list[PulledImage]:
        """Return all images on record that Tagboat has pulled."""
        return self._session.all(PulledImage, select(_pulled))

    def unwanted_images(self, keep: int, after: tuple[str, str], limit: int) -> list[PulledImage]:
        """Return up to `limit` pulled images that are not wanted any more, by name and digest.

        They are in that order, beyond `after`, which is the name and digest of one.
        """
        beyond = tuple_(_pulled.c.image, _pulled.c.digest) > tuple_(*after)
        query = (
            select(_pulled)
            .where(beyond, ~_is_wanted(_pulled.c.digest, keep))
            .order_by(_pulled.c.image, _pulled.c.digest)
        )
        return self._session.all(PulledImage, query.limit(limit))

    def old_deploys(self, before: datetime, newest: int, keep: int, limit: int) -> list[str]:
        """Return the ids of up to `limit` deploys that ended before `before` and may go.

        Needed are the newest `newest` of each stage, those whose instance has a container, and
        those that a rollback may lead to.
        """
        query = select(_deploys.c.id).where(_is_old(before, newest, keep))
        return self._session.scalars(query.order_by(_deploys.c.finished_at).limit(limit))

    def deletions(self) -> list[Deletion]:
        """Return the projects and stages that are being deleted, or were as the server died."""
        rows = self._session.rows(select(_removals))
        # Servers of before do not say who ordered it.
        return [
            Deletion(**{**row, "actor": msgspec.convert(actor, Principal) if actor else SERVER})
            for row in rows
            for actor in [row["actor"]]
        ]


class RetentionWrites(RetentionReads):
    """Implements `RetentionWriter`."""

    _session: WriteSession

    def note_pull(self, image: ImageName, digest: Digest, now: datetime) -> None:
        """Record that Tagboat is about to have the engine pull an image that it does not have."""
        row = {"image": image, "digest": digest, "pulled_at": now, "removing_until": None}
        if self._session.scalar(select(_pulled.c.digest).where(_is_image(image, digest))) is None:
            self._session.insert(_pulled, row)
        else:
            self._session.execute(update(_pulled).where(_is_image(image, digest)).values(row))

    def begin_removal(
        self, image: ImageName, digest: Digest, keep: int, now: datetime, until: datetime
    ) -> bool:
        """Mark a pulled image as being removed until `until`.

        Return False where it is wanted again, or another is removing it at `now`.
        """
        # In the update itself: a deploy may have begun to want it since it was listed.
        free = or_(_pulled.c.removing_until.is_(None), _pulled.c.removing_until <= now)
        query = update(_pulled).where(
            _is_image(image, digest), free, ~_is_wanted(_pulled.c.digest, keep)
        )
        return self._session.execute(query.values(removing_until=until)).rowcount > 0

    def end_removal(self, image: ImageName, digest: Digest, *, gone: bool) -> None:
        """Forget an image that is `gone`, else remove the mark of `begin_removal`."""
        if gone:
            self._session.execute(delete(_pulled).where(_is_image(image, digest)))
        else:
            self._session.execute(
                update(_pulled).where(_is_image(image, digest)).values(removing_until=None)
            )

    def forget_deploys(
        self, deploy_ids: Collection[str], before: datetime, newest: int, keep: int
    ) -> int:
        """Delete those of the deploys that may still go, with log, configuration and instance.

        Return how many went.
        """
        # By the condition of the list, again: a rollback may need one of them since.
        old = delete(_deploys).where(_deploys.c.id.in_(deploy_ids), _is_old(before, newest, keep))
        return self._session.execute(old).rowcount

    def begin_deletion(self, deletion: Deletion) -> None:
        """Record that a project or stage is being deleted, so that the next start finishes it."""
        # Of two orders the later one counts: it may say otherwise about the volumes.
        self.end_deletion(deletion)
        self._session.insert(_removals, to_row(deletion))

    def end_deletion(self, deletion: Deletion) -> None:
        """Forget a deletion: it is done, or cannot be done."""
        of_it = (
            _removals.c.project_id == deletion.project_id,
            _removals.c.stage_id == deletion.stage_id,
        )
        self._session.execute(delete(_removals).where(*of_it))


def _is_image(image: ImageName, digest: Digest) -> ColumnElement[bool]:
    return and_(_pulled.c.image == image, _pulled.c.digest == digest)


def _is_wanted(digest: ColumnElement[str], keep: int) -> ColumnElement[bool]:
    """Return the condition that some stage wants a digest.

    It has a container of it, is about to, was pushed it while held, or may go back to it.
    """
    instance, offer = tables.instances_table.alias(), tables.offers_table.alias()
    return or_(
        exists().where(instance.c.digest == digest, instance.c.state.in_(ACTIVE_STATES)),
        exists(select(1).select_from(_deploys).where(_deploys.c.digest == digest, tables.OPEN)),
        exists().where(offer.c.digest == digest),
        exists().where(instance.c.digest == digest, _is_recent(instance, keep)),
    )


def _is_recent(instance: FromClause, keep: int) -> ColumnElement[bool]:
    """Return the condition that an instance brought one of the last `keep` digests of its stage."""
    # Of those after it only the next few are looked at: there may be thousands, and as a rule they
    # are different.
    later = tables.instances_table.alias()
    others = select(later.c.digest).where(
        later.c.stage_id == instance.c.stage_id,
        later.c.state.in_(WERE_LIVE),
        later.c.id > instance.c.id,
        later.c.digest != instance.c.digest,
    )
    few = (
        others.order_by(later.c.id)
        .limit(_DIGESTS_LOOKED_AT * (keep + 1))
        .correlate(instance)
        .subquery()
    )
    count = select(func.count(distinct(few.c.digest))).scalar_subquery()
    return and_(instance.c.state.in_(WERE_LIVE), count < keep)


def _is_old(before: datetime, newest: int, keep: int) -> ColumnElement[bool]:
    """Return the condition that a deploy may be forgotten; see `old_deploys`."""
    other, instance = _deploys.alias(), tables.instances_table.alias()
    of_stage = select(other.c.id).where(other.c.stage_id == _deploys.c.stage_id)
    oldest_kept = of_stage.order_by(other.c.id.desc()).offset(newest - 1).limit(1)
    needed = or_(
        instance.c.state.in_(ACTIVE_STATES), _is_recent(instance, max(keep, LEAST_TARGETS))
    )
    return and_(
        _deploys.c.finished_at < before,
        _deploys.c.id < oldest_kept.correlate(_deploys).scalar_subquery(),
        ~exists().where(instance.c.deploy_id == _deploys.c.id, needed),
    )
