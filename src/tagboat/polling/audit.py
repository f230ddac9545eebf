"""Entries of the audit about polls."""

from datetime import datetime

from tagboat.core.audit import AuditAction, audit_entry, project_subject
from tagboat.core.catalog import Project
from tagboat.core.polling import PollReport
from tagboat.core.ports import Tx
from tagboat.core.principal import Principal, PrincipalKind, Role

_SCHEDULE = Principal(kind=PrincipalKind.POLL, name="poll", role=Role.DEPLOYER)
_MOST_TAGS = 10


def record_poll(
    tx: Tx, project: Project, report: PollReport, actor: Principal | None, now: datetime
) -> None:
    """Record a poll that `actor` has ordered; of those on schedule, only one that has an effect."""
    deployed = [tag for tag in report.tags if tag.verdict.deploy]
    if actor is None and not deployed:
        return
    told = [f"{one.tag} is {one.verdict.outcome}" for one in deployed[:_MOST_TAGS]]
    if more := len(deployed) - len(told):
        told.append(f"and {more} more")
    note = report.error or ", ".join(told) or "found nothing to deploy"
    subject = project_subject(project)
    tx.record_audit(
        audit_entry(actor or _SCHEDULE, now, AuditAction.PROJECT_POLL, subject, note=note)
    )
