"""Histories, comparisons and previews as the API shows them."""

from collections.abc import Sequence

from tagboat.api import page_schemas, schemas
from tagboat.api.views import name_of
from tagboat.core.changes import ConfigChange
from tagboat.core.heard import HeardCall
from tagboat.operations.queries.comparisons import Comparison, PendingChanges, Side
from tagboat.operations.queries.connect import Heard
from tagboat.operations.queries.stage_history import LivePeriod


def show_live_period(period: LivePeriod) -> page_schemas.LivePeriodOut:
    """Return the time in which an instance was the live one."""
    instance, deploy, ending = period.instance, period.deploy, period.ending
    return page_schemas.LivePeriodOut(
        deploy=deploy.id,
        instance=instance.id,
        tag=instance.tag,
        digest=instance.digest,
        trigger=deploy.trigger,
        note=deploy.note,
        live_from=period.live_from,
        live_until=period.live_until,
        ending=ending.kind,
        reason=ending.reason,
        ended_by=ending.by.id if ending.by else None,
        requests_lost=period.requests_lost,
        rollback_possible=period.rollback.possible,
        rollback_reason=period.rollback.reason,
        warning=period.warning,
    )


def show_comparison(found: Comparison) -> page_schemas.ComparisonOut:
    """Return a comparison."""
    commits, env = found.commits, found.env
    return page_schemas.ComparisonOut(
        project=name_of(found.project),
        stage=name_of(found.stage),
        before=_show_compared(found.before) if found.before else None,
        after=_show_compared(found.after),
        commits=page_schemas.CommitsOut(
            before=commits.before,
            after=commits.after,
            source=commits.source,
            compare_url=commits.compare_url,
        ),
        env=page_schemas.KeyChangesOut(
            added=list(env.added), removed=list(env.removed), changed=list(env.changed)
        ),
        config=_show_changes(found.config),
        image=_show_changes(found.image),
        release_command=found.release_command,
        changes_nothing=found.changes_nothing,
        unknown=found.unknown,
    )


def show_pending(found: PendingChanges) -> page_schemas.PendingOut:
    """Return the changes that are saved and not live."""
    return page_schemas.PendingOut(
        project=name_of(found.project),
        stage=name_of(found.stage),
        deploy=found.live.deploy_id if found.live else None,
        tag=found.live.tag if found.live else None,
        count=len(found.changes),
        changes=_show_changes(found.changes),
        reason=found.reason,
    )


def show_heard(heard: Heard) -> page_schemas.HeardOut:
    """Return who was heard last."""
    return page_schemas.HeardOut(
        senders=[_show_call(sender.last) for sender in heard.senders],
        registries=[
            page_schemas.HeardRegistryOut(
                host=one.host,
                registry=schemas.RefOut(id=one.registry.id, name=one.registry.name)
                if one.registry
                else None,
                last=_show_call(one.last) if one.last else None,
                silent=one.silent or None,
            )
            for one in heard.registries
        ],
    )


def _show_compared(side: Side) -> page_schemas.SideOut:
    return page_schemas.SideOut(
        tag=side.tag, digest=side.digest, deploy=side.deploy_id, size=side.size
    )


def _show_changes(changes: Sequence[ConfigChange]) -> list[page_schemas.FieldChangeOut]:
    return [
        page_schemas.FieldChangeOut(
            field=one.field, change=one.kind, before=one.before, after=one.after
        )
        for one in changes
    ]


def _show_call(call: HeardCall) -> page_schemas.HeardCallOut:
    return page_schemas.HeardCallOut(
        sender=call.sender, host=call.host or None, at=call.at, delivery=call.delivery_id
    )
