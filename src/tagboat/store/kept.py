"""Which images and which history somebody still wants: the part of `Reader` and `Tx` that forgetting goes by."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
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
from tagboat.store import tables

_FEW = 20
_pulled = tables.pulled_images
_deploys = tables.deploys
_removals = tables.removals


class KeptReader:
    """Asks what is wanted. `keep` is how many of the last digests of each stage are, counting what is live."""

    _connection: Connection

    def pulled_image(self, image: ImageName, digest: Digest) -> PulledImage | None:
        """What is on record of an image that Tagboat has pulled, None if it has not."""
        row = self._connection.execute(select(_pulled).where(_is(image, digest))).first()
        return None if row is None else PulledImage(**row._mapping)  # noqa: SLF001 - documented, despite its name

    def pulled_images(self) -> list[PulledImage]:
        """All images on record that Tagboat has pulled."""
        return [PulledImage(**row._mapping) for row in self._connection.execute(select(_pulled))]  # noqa: SLF001

    def unwanted_images(self, keep: int, after: tuple[str, str], limit: int) -> list[PulledImage]:
        """Up to `limit` pulled images that nobody wants any more, in order of name and digest, beyond those `after`."""
        beyond = tuple_(_pulled.c.image, _pulled.c.digest) > tuple_(*after)
        query = (
            select(_pulled)
            .where(beyond, ~_wanted(_pulled.c.digest, keep))
            .order_by(_pulled.c.image, _pulled.c.digest)
        )
        rows = self._connection.execute(query.limit(limit))
        return [PulledImage(**row._mapping) for row in rows]  # noqa: SLF001

    def old_deploys(self, before: datetime, newest: int, keep: int, limit: int) -> list[str]:
        """The ids of up to `limit` deploys that ended before `before` and that nobody needs any more, oldest first.

        Needed are the newest `newest` of each stage, those whose instance has a container, and those to be gone back to.
        """
        query = select(_deploys.c.id).where(_is_old(before, newest, keep))
        return list(self._connection.scalars(query.order_by(_deploys.c.finished_at).limit(limit)))

    def deletions(self) -> list[Deletion]:
        """The projects and stages that are being deleted, or were as the server died."""
        return [Deletion(**row._mapping) for row in self._connection.execute(select(_removals))]  # noqa: SLF001


class KeptWriter(KeptReader):
    """Notes what was pulled, and forgets what nobody wants."""

    def flush(self) -> None:
        """Send everything gathered to the database."""
        raise NotImplementedError

    def note_pull(self, image: ImageName, digest: Digest, now: datetime) -> None:
        """Put on record that Tagboat is about to have the engine pull an image that it has not."""
        row = {"image": image, "digest": digest, "pulled_at": now, "removing_until": None}
        if self._connection.scalar(select(_pulled.c.digest).where(_is(image, digest))) is None:
            self._connection.execute(_pulled.insert().values(row))
        else:
            self._connection.execute(update(_pulled).where(_is(image, digest)).values(row))

    def begin_removal(
        self, image: ImageName, digest: Digest, keep: int, now: datetime, until: datetime
    ) -> bool:
        """Mark a pulled image as being removed until `until`; False where it is wanted again, or somebody is at it."""
        self.flush()
        free = or_(_pulled.c.removing_until.is_(None), _pulled.c.removing_until <= now)
        query = update(_pulled).where(_is(image, digest), free, ~_wanted(_pulled.c.digest, keep))
        return self._connection.execute(query.values(removing_until=until)).rowcount > 0

    def end_removal(self, image: ImageName, digest: Digest, *, gone: bool) -> None:
        """Forget an image that is `gone`; else take the mark off it."""
        if gone:
            self._connection.execute(delete(_pulled).where(_is(image, digest)))
        else:
            self._connection.execute(
                update(_pulled).where(_is(image, digest)).values(removing_until=None)
            )

    def forget_deploys(
        self, deploy_ids: Collection[str], before: datetime, newest: int, keep: int
    ) -> int:
        """Delete those of the deploys that are old still, with log, configuration and instance; how many went."""
        self.flush()
        old = delete(_deploys).where(_deploys.c.id.in_(deploy_ids), _is_old(before, newest, keep))
        return self._connection.execute(old).rowcount

    def prune_deliveries(self, before: datetime, keep: int, at_most: int) -> int:
        """Delete up to `at_most` deliveries received before `before` or not among the newest `keep`; how many went."""
        self.flush()
        table = tables.deliveries
        oldest_kept = (
            select(table.c.id)
            .order_by(table.c.id.desc())
            .offset(keep - 1)
            .limit(1)
            .scalar_subquery()
        )
        old = select(table.c.id).where((table.c.received_at < before) | (table.c.id < oldest_kept))
        # The oldest have the lowest ids, so that looking for some does not mean looking at all.
        some = old.order_by(table.c.id).limit(at_most)
        return self._connection.execute(delete(table).where(table.c.id.in_(some))).rowcount

    def begin_deletion(self, deletion: Deletion) -> None:
        """Put on record that a project or a stage is being deleted, so that it is gone on with after a death."""
        self.end_deletion(deletion)
        self._connection.execute(_removals.insert().values(asdict(deletion)))

    def end_deletion(self, deletion: Deletion) -> None:
        """Forget about it: it is done, or cannot be done."""
        of_it = (
            _removals.c.project_id == deletion.project_id,
            _removals.c.stage_id == deletion.stage_id,
        )
        self._connection.execute(delete(_removals).where(*of_it))


def _is(image: ImageName, digest: Digest) -> ColumnElement[bool]:
    return and_(_pulled.c.image == image, _pulled.c.digest == digest)


def _wanted(digest: ColumnElement[str], keep: int) -> ColumnElement[bool]:
    """Whether some stage wants a digest: it has a container of it, is about to, was pushed it while held, or may go back."""
    instance, offer = tables.instances.alias(), tables.offers.alias()
    return or_(
        exists().where(instance.c.digest == digest, instance.c.state.in_(ACTIVE_STATES)),
        exists(select(1).select_from(_deploys).where(_deploys.c.digest == digest, tables.OPEN)),
        exists().where(offer.c.digest == digest),
        exists().where(instance.c.digest == digest, _is_recent(instance, keep)),
    )


def _is_recent(instance: FromClause, keep: int) -> ColumnElement[bool]:
    """Whether an instance brought one of the last `keep` digests that were live in its stage, or may have.

    Of those after it only the next few are looked at: there may be thousands, and as a rule they are different.
    """
    later = tables.instances.alias()
    others = select(later.c.digest).where(
        later.c.stage_id == instance.c.stage_id,
        later.c.state.in_(WERE_LIVE),
        later.c.id > instance.c.id,
        later.c.digest != instance.c.digest,
    )
    few = others.order_by(later.c.id).limit(_FEW * (keep + 1)).correlate(instance).subquery()
    count = select(func.count(distinct(few.c.digest))).scalar_subquery()
    return and_(instance.c.state.in_(WERE_LIVE), count < keep)


def _is_old(before: datetime, newest: int, keep: int) -> ColumnElement[bool]:
    """Whether a deploy may be forgotten; see `old_deploys`."""
    other, instance = _deploys.alias(), tables.instances.alias()
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
