"""The audit: who changed what, from where, and from which value to which."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from tagboat.api import schemas
from tagboat.api.answers import Responses, problems
from tagboat.api.bodies import ResponseModel
from tagboat.api.filters import NameOrId
from tagboat.api.pagination import Page
from tagboat.api.roles import ADMIN_ONLY
from tagboat.api.services import Ops
from tagboat.api.values import NO_NUL, text
from tagboat.core.audit import AuditAction, AuditEntry, AuditPlace
from tagboat.core.errors import FieldError
from tagboat.operations.queries.audit import AuditQuestion

AUDIT_PATH = "/api/audit"

router = APIRouter(prefix=AUDIT_PATH, tags=["audit"])
_exported: Responses = {
    200: {
        "description": "An entry as JSON on each line, oldest first.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    },
    **problems(403, 422),
}


class AuditActorOut(ResponseModel):
    """The one that made a change."""

    kind: str
    name: str
    id: str | None


class AuditSubjectOut(ResponseModel):
    """The thing that was changed, by its name of the time."""

    kind: str
    id: str | None
    name: str


class AuditChangeOut(ResponseModel):
    """A field that was changed. Secrets are `***`, whatever they are."""

    field: str
    before: object
    after: object


class AuditEntryOut(ResponseModel):
    """One change."""

    id: int
    at: datetime
    actor: AuditActorOut
    address: str | None
    action: str
    subject: AuditSubjectOut
    project: schemas.RefOut | None
    stage: schemas.RefOut | None
    changes: list[AuditChangeOut]
    note: str


ActorText = Annotated[str, text(NO_NUL, 255, "a string without NUL")]


async def get_question(
    actor: Annotated[
        ActorText | None, Query(description="Only of this account or token, or kind of actor.")
    ] = None,
    action: Annotated[AuditAction | None, Query(description="Only changes of this kind.")] = None,
    project: Annotated[
        NameOrId | None,
        Query(description="Only of the project of this name or id, also of a deleted one."),
    ] = None,
    since: Annotated[
        str | None, Query(description="Only from this time on, or `7d`: so long ago.")
    ] = None,
    until: Annotated[str | None, Query(description="Only before this time.")] = None,
) -> AuditQuestion:
    """Return the question that the parameters of a request ask."""
    return AuditQuestion(actor=actor, action=action, project=project, since=since, until=until)


Wanted = Annotated[AuditQuestion, Depends(get_question)]
"""The parameters that filter the audit."""


@router.get("", responses=problems(422), openapi_extra=ADMIN_ONLY)
async def list_audit(operations: Ops, page: Page, wanted: Wanted) -> schemas.PageOut[AuditEntryOut]:
    """List who changed what, newest first. Only for admins."""
    found = await operations.audit.entries(wanted, audit_place(page.after), page.with_next)
    shown, cursor = page.cut(found, audit_key)
    return schemas.PageOut(items=[show_audit_entry(one) for one in shown], next=cursor)


@router.get(
    "/export", response_class=StreamingResponse, responses=_exported, openapi_extra=ADMIN_ONLY
)
async def export_audit(operations: Ops, wanted: Wanted) -> StreamingResponse:
    """Return all that the filters let through, oldest first, as JSON lines. Only for admins."""
    batches = operations.audit.export(wanted)
    # Read here, not in the stream: without the database the answer is a 503, not a broken 200.
    first = await anext(batches)

    async def lines() -> AsyncIterator[str]:
        yield _as_lines(first)
        async for batch in batches:
            yield _as_lines(batch)

    return StreamingResponse(
        lines(),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="audit.jsonl"'},
    )


def show_audit_entry(entry: AuditEntry) -> AuditEntryOut:
    """Return an entry of the audit."""
    return AuditEntryOut(
        id=entry.id,
        at=entry.at,
        actor=AuditActorOut(kind=entry.actor_kind, name=entry.actor_name, id=entry.actor_id),
        address=entry.address or None,
        action=entry.action,
        subject=AuditSubjectOut(
            kind=entry.subject_kind, id=entry.subject_id, name=entry.subject_name
        ),
        project=_reference(entry.project_id, entry.project_name),
        stage=_reference(entry.stage_id, entry.stage_name),
        changes=[
            AuditChangeOut(field=one.field, before=one.before, after=one.after)
            for one in entry.changes
        ],
        note=entry.note,
    )


def _reference(key: str | None, name: str | None) -> schemas.RefOut | None:
    return None if key is None else schemas.RefOut(id=key, name=name or "")


def _as_lines(entries: Sequence[AuditEntry]) -> str:
    return "".join(f"{show_audit_entry(entry).model_dump_json()}\n" for entry in entries)


def audit_key(entry: AuditEntry) -> str:
    """Return the key of an entry's place, after which the next page begins."""
    return f"{entry.at.isoformat()} {entry.id}"


def audit_place(key: str) -> AuditPlace | None:
    """Return the place of a key, None for the start. Raises FieldError."""
    if not key:
        return None
    # No more digits than a column of the database can have.
    found = re.fullmatch(r"(\S+\+00:00) ([0-9]{1,18})", key, re.ASCII)
    try:
        return datetime.fromisoformat(found[1] if found else ""), int(found[2] if found else "")
    except ValueError:
        raise FieldError("cursor", "this cursor is of another list") from None
