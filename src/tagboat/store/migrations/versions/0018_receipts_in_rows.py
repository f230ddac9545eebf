"""Receipts in rows: a row for each push of a delivery, and for each event that was skipped.

Revision ID: 0018
Revises: 0017
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_AT_ONCE = 500


def upgrade() -> None:
    """Add the tables, and carry over what is kept as JSON, which stays for servers of before."""
    _make_tables()
    deliveries = sa.table(
        "deliveries",
        *(sa.column(name) for name in ("id", "result", "reason", "needs_you")),
    )
    pushes = sa.table("delivery_pushes", *(sa.column(name) for name in _PUSH))
    skips = sa.table("delivery_skips", *(sa.column(name) for name in _SKIP))
    connection, after = op.get_bind(), ""
    query = sa.select(deliveries.c.id, deliveries.c.result).order_by(deliveries.c.id)
    # Some at a time: there may be as many as a server keeps, each with a long answer.
    while found := connection.execute(query.where(deliveries.c.id > after).limit(_AT_ONCE)).all():
        after = found[-1].id
        for key, text in found:
            answer = _answer(text)
            rows = [row for one in _listed(answer, "pushes") if (row := _push(one))]
            _insert(connection, pushes, key, rows)
            rows = [row for one in _listed(answer, "skipped") if (row := _skip(one))]
            _insert(connection, skips, key, rows)
            reason = answer.get("reason") or answer.get("detail")
            changed = deliveries.update().where(deliveries.c.id == key)
            connection.execute(
                changed.values(
                    reason=str(reason) if reason else None,
                    needs_you=answer.get("needs_you") is True,
                )
            )


_PUSH = (
    "delivery_id", "position", "image", "tag", "digest", "project_id", "project_name", "stage_id",
    "stage_name", "project_created", "outcome", "reason", "deploy_id",
)  # fmt: skip
_SKIP = ("delivery_id", "position", "image", "reason")
_OUTCOMES = {"queued", "merged", "waiting", "unmatched", "refused"}


def _make_tables() -> None:
    op.add_column("deliveries", sa.Column("reason", sa.Text))
    op.add_column(
        "deliveries",
        sa.Column("needs_you", sa.Boolean, nullable=False, server_default=sa.text("false")),
    )
    op.create_table(
        "delivery_pushes",
        sa.Column("delivery_id", sa.String, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("project_id", sa.String),
        sa.Column("project_name", sa.Text),
        sa.Column("stage_id", sa.String),
        sa.Column("stage_name", sa.Text),
        sa.Column("project_created", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("deploy_id", sa.String),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name="fk_delivery_pushes_delivery_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", "position", name="pk_delivery_pushes"),
    )
    op.create_table(
        "delivery_skips",
        sa.Column("delivery_id", sa.String, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("image", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name="fk_delivery_skips_delivery_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", "position", name="pk_delivery_skips"),
    )


def _insert(connection: sa.Connection, table: Any, key: str, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401 - a table without types
    if rows:
        connection.execute(
            table.insert(),
            [{"delivery_id": key, "position": place, **row} for place, row in enumerate(rows)],
        )


def _answer(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _listed(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = answer.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _push(one: dict[str, Any]) -> dict[str, Any] | None:
    # A delivery that cannot be read must not keep the server from starting.
    if one.get("outcome") not in _OUTCOMES:
        return None
    project, stage = one.get("project") or {}, one.get("stage") or {}
    return {
        "image": str(one.get("image", "")),
        "tag": str(one.get("tag", "")),
        "digest": one.get("digest"),
        "project_id": project.get("id"),
        "project_name": project.get("name"),
        "stage_id": stage.get("id"),
        "stage_name": stage.get("name"),
        "project_created": one.get("project_created") is True,
        "outcome": one["outcome"],
        "reason": str(one.get("reason", "")),
        "deploy_id": one.get("deploy"),
    }


def _skip(one: dict[str, Any]) -> dict[str, Any] | None:
    return {"image": one.get("image"), "reason": str(one.get("reason", ""))}
