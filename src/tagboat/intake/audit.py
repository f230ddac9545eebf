"""Entries of the audit about calls of the webhook."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from msgspec import Struct

from tagboat.core.audit import AuditAction, AuditEntry, AuditSubject, FieldChange, audit_entry
from tagboat.core.delivery import PushResult
from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.core.push import Outcome


class Redelivery(Struct, frozen=True):
    """An order of `actor` to take the delivery of an id in again."""

    delivery_id: str
    actor: Principal


def call_entries(
    results: Sequence[PushResult], caller: Principal, again: Redelivery | None, now: datetime
) -> Iterator[AuditEntry]:
    """Yield an entry for each push that made a project or queued a deploy.

    They are of `caller`, the sender. A redelivery is of the one that has ordered it, and has an
    entry of its own.
    """
    actor = again.actor if again else caller
    if again:
        subject = AuditSubject(id=again.delivery_id, name=caller.name)
        yield audit_entry(actor, now, AuditAction.DELIVERY_REDELIVER, subject)
    for result in results:
        if result.project_created or result.outcome is Outcome.QUEUED:
            yield _push_entry(result, actor, now)


# Callers are few, and each call is of one.
@lru_cache(256)
def calling_sender(name: str, hook_id: str | None, address: str) -> Principal:
    """Return the sender of a call by the webhook of an id, None: by the global URL."""
    return Principal(
        kind=PrincipalKind.WEBHOOK, name=name, role=Role.DEPLOYER, id=hook_id, address=address
    )


def _push_entry(result: PushResult, actor: Principal, now: datetime) -> AuditEntry:
    project, stage = result.project, result.stage
    project_id, project_name = (project.id, project.name) if project else (None, None)
    made = result.project_created
    subject = AuditSubject(
        id=project_id if made else result.deploy,
        name=(project_name or "") if made else result.tag,
        project_id=project_id,
        project_name=project_name,
        stage_id=stage.id if stage else None,
        stage_name=stage.name if stage else None,
    )
    action = AuditAction.PROJECT_CREATE if made else AuditAction.DEPLOY_CREATE
    # One entry for a push, whatever it did: a call may bring a hundred.
    changes = (FieldChange("image", None, f"{result.image}:{result.tag}"),) if made else ()
    return audit_entry(actor, now, action, subject, changes, result.reason)
