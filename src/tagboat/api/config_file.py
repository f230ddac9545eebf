"""Configuration as a file: the whole of it, what a file would change, and the change."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter

from tagboat.api import config_schemas
from tagboat.api.answers import problems
from tagboat.api.config_json_schema import config_json_schema
from tagboat.api.roles import ADMIN_ONLY
from tagboat.api.services import Ops
from tagboat.core.config_plan import PlannedChange

router = APIRouter(prefix="/api/config", tags=["config"])


@router.get("", responses=problems(), openapi_extra=ADMIN_ONLY)
async def get_config(operations: Ops) -> config_schemas.ConfigOut:
    """Return all configuration as one document, with values that are not the default."""
    return config_schemas.ConfigOut(**await operations.config_file.export())


@router.get("/schema", responses=problems(), openapi_extra=ADMIN_ONLY)
async def get_config_schema() -> dict[str, Any]:
    """Return the JSON Schema of configuration files, for editors."""
    return config_json_schema()


@router.post("/plan", responses=problems(413, 422))
async def plan_config_change(
    operations: Ops, body: config_schemas.ConfigOrder
) -> config_schemas.ConfigPlanOut:
    """Return what an apply of this document would change; nothing is changed."""
    changes = await operations.config_file.plan(body.document.to_wanted(), prune=body.prune)
    return config_schemas.ConfigPlanOut(changes=_shown(changes))


@router.post("/apply", responses=problems(413, 422))
async def apply_config(
    operations: Ops, body: config_schemas.ConfigOrder
) -> config_schemas.AppliedConfigOut:
    """Make the configuration what this document says, in one transaction.

    Deletions follow it, because containers are stopped first; one that fails is in `failures`.
    """
    done = await operations.config_file.apply(body.document.to_wanted(), prune=body.prune)
    return config_schemas.AppliedConfigOut(
        changes=_shown(done.changes),
        failures=[
            config_schemas.NotDeletedOut(
                kind=one.change.kind, name=" ".join(one.change.names), reason=one.reason
            )
            for one in done.failures
        ],
        volumes=list(done.volumes),
    )


def _shown(changes: Iterable[PlannedChange]) -> list[config_schemas.PlannedChangeOut]:
    return [
        config_schemas.PlannedChangeOut(
            kind=change.kind,
            action=change.action,
            name=" ".join(change.names),
            fields=[
                config_schemas.PlannedFieldOut(field=one.field, before=one.before, after=one.after)
                for one in change.changes
            ],
        )
        for change in changes
    ]
