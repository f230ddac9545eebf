"""The first schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPEN = sa.text("status IN ('queued', 'running')")


def upgrade() -> None:
    """Make every table."""
    _catalog()
    _deploys()
    _news()


def _catalog() -> None:
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
    op.create_table(
        "registries",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("password", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_registries"),
        sa.UniqueConstraint("name", name="uq_registries_name"),
        sa.UniqueConstraint("host", name="uq_registries_host"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("healthcheck", sa.Text, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.Column("registry_id", sa.String),
        sa.Column("inspected", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
        sa.UniqueConstraint("image", name="uq_projects_image"),
        sa.ForeignKeyConstraint(["registry_id"], ["registries.id"], name="fk_projects_registry_id"),
    )
    op.create_table(
        "stages",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("pattern", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("auto_deploy", sa.Boolean, nullable=False),
        sa.Column("max_instances", sa.Integer, nullable=False),
        sa.Column("env", sa.Text, nullable=False),
        sa.Column("domains", sa.Text, nullable=False),
        sa.Column("health_timeout_s", sa.Integer, nullable=False),
        sa.Column("drain_timeout_s", sa.Integer, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stages"),
        sa.UniqueConstraint("project_id", "name", name="uq_stages_project_id_name"),
        _belongs_to("stages", "projects", "project_id"),
    )


def _deploys() -> None:
    op.create_table(
        "deploys",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("stage_id", sa.String, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("force", sa.Boolean, nullable=False),
        sa.Column("steps", sa.Text, nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("merges", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.Text),
        sa.Column("claimed_until", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_deploys"),
        _belongs_to("deploys", "projects", "project_id"),
        _belongs_to("deploys", "stages", "stage_id"),
    )
    op.create_index("ix_deploys_stage_id_id", "deploys", ["stage_id", "id"])
    op.create_index("ix_deploys_project_id_id", "deploys", ["project_id", "id"])
    op.create_index(
        "ix_deploys_open", "deploys", ["stage_id"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "instances",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("deploy_id", sa.String, nullable=False),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("stage_id", sa.String, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("container", sa.Text, nullable=False),
        sa.Column("host_port", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("stopped_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
        _belongs_to("instances", "deploys", "deploy_id"),
        _belongs_to("instances", "projects", "project_id"),
        _belongs_to("instances", "stages", "stage_id"),
    )
    op.create_index("ix_instances_deploy_id", "instances", ["deploy_id"])
    op.create_index("ix_instances_stage_id_id", "instances", ["stage_id", "id"])
    op.create_index("ix_instances_project_id_id", "instances", ["project_id", "id"])
    op.create_index("ix_instances_state", "instances", ["state"])


def _news() -> None:
    op.create_table(
        "tags",
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "tag", name="pk_tags"),
        _belongs_to("tags", "projects", "project_id"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_table(
        "polls",
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("first_done", sa.Boolean, nullable=False),
        sa.Column("last_at", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("project_id", name="pk_polls"),
        _belongs_to("polls", "projects", "project_id"),
    )
    op.create_table(
        "registry_backoffs",
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("retry_at", sa.BigInteger),
        sa.Column("refused_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("host", name="pk_registry_backoffs"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )


def _belongs_to(table: str, owner: str, column: str) -> sa.ForeignKeyConstraint:
    """A row goes when its owner goes."""
    return sa.ForeignKeyConstraint(
        [column], [f"{owner}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE"
    )
