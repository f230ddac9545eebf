"""The tables.

Column names are the field names of the values in `tagboat.core`, so that a row becomes a value as
it is.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from tagboat.core.catalog import RegistryKind, Strategy
from tagboat.core.deploy import DeployStatus, InstanceState, Trigger
from tagboat.core.events import EventTopic
from tagboat.core.health import Trouble
from tagboat.core.protocol import AppProtocol
from tagboat.core.push import Outcome
from tagboat.core.run import EngineKind
from tagboat.store.columns import (
    ENDPOINTS,
    IMAGE,
    JSON,
    JSON_TUPLE,
    PATTERN,
    STEPS,
    VERDICT,
    Coded,
    Instant,
)

_IS_QUEUED, _IS_RUNNING = text("status = 'queued'"), text("status = 'running'")
OPEN = text("status IN ('queued', 'running')")
"""Condition on the table `deploys` for those that are queued or running."""
UNSUCCESSFUL = text("status IN ('failed', 'superseded', 'cancelled')")
"""Condition on the table `deploys` for those that have ended without success."""
HAS_FAILED, HAS_SUCCEEDED = text("status = 'failed'"), text("status = 'succeeded'")
HAS_RELEASED = text("release_id <> ''")
# In literals: SQLite uses a partial index only for a condition that it can prove to be the same.

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

settings_table = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

registries_table = Table(
    "registries",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False, unique=True),
    Column("kind", Coded(str, RegistryKind), nullable=False),
    Column("username", Text, nullable=False),
    Column("password", LargeBinary),
    Column("password_command", Text, nullable=False, server_default=text("''")),
    Column("ca_cert", Text, nullable=False, server_default=text("''")),
    Column("login_service", Text, nullable=False, server_default=text("''")),
)

projects_table = Table(
    "projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    # The name as one label of a host; empty where a server of before has written the row.
    Column("slug", Text, nullable=False, server_default=text("''"), index=True),
    Column("image", IMAGE, nullable=False, unique=True),
    Column("port", Integer, nullable=False),
    Column("healthcheck", Text, nullable=False),
    Column("env", JSON, nullable=False),
    # Sealed: there are secrets among it.
    Column("run", LargeBinary),
    Column("registry_id", String, ForeignKey("registries.id")),
    Column("inspected", Boolean, nullable=False),
    Column("port_set", Boolean, nullable=False, server_default=text("false")),
    Column("healthcheck_set", Boolean, nullable=False, server_default=text("false")),
    Column("protocol", Coded(str, AppProtocol), nullable=False, server_default=text("'http'")),
    Column("protocol_set", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Instant, nullable=False),
)

stages_table = Table(
    "stages",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("pattern", PATTERN, nullable=False),
    Column("position", Integer, nullable=False),
    Column("auto_deploy", Boolean, nullable=False),
    Column("allow_downgrade", Boolean, nullable=False, server_default=text("false")),
    Column("max_instances", Integer, nullable=False),
    Column("env", JSON, nullable=False),
    Column("run", LargeBinary),
    Column("domains", JSON_TUPLE, nullable=False),
    Column("strategy", Coded(str, Strategy), nullable=False, server_default=text("'rolling'")),
    # Without it, `rolling` is what servers of old wrote where nobody had said anything.
    Column("strategy_given", Boolean, nullable=False, server_default=text("false")),
    Column("health_timeout_s", Integer, nullable=False),
    Column("healthcheck_host", Text, nullable=False, server_default=text("''")),
    Column("healthcheck_request_timeout_s", Integer, nullable=False, server_default=text("5")),
    Column("watch_s", Integer, nullable=False, server_default=text("10")),
    Column("drain_timeout_s", Integer, nullable=False),
    Column("ttl_h", Integer),
    Column("held", Boolean, nullable=False),
    Column("held_at", Instant),
    Column("held_by", Text),
    Column("stopped_at", Instant),
    Column("stopped_by", Text),
    Column("engine", Coded(str, EngineKind)),
    Column("replicas", Integer, nullable=False, server_default=text("1")),
    Column("constraints", JSON_TUPLE, nullable=False, server_default=text("'[]'")),
    Column("image_volumes", JSON_TUPLE, nullable=False, server_default=text("'[]'")),
    Column("adopted_volumes", JSON, nullable=False, server_default=text("'{}'")),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("project_id", "name"),
    # Few of them have one, and each sweep asks which.
    Index("ix_stages_mortal", "id", sqlite_where=text("ttl_h IS NOT NULL")),
)

hosts_table = Table(
    "hosts",
    metadata,
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), primary_key=True),
    Column("is_domain", Boolean, primary_key=True),
    Column("host", Text, primary_key=True),
    # Set where an older stage has claimed the host since before there was a rule against it.
    Column("shared", Boolean, nullable=False, server_default=text("false")),
    # For any other, a host is of one stage.
    Index("uq_hosts_host", "host", "is_domain", unique=True, sqlite_where=text("NOT shared")),
    Index(None, "host"),
)

tags_table = Table(
    "tags",
    metadata,
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("digest", Text),
    Column("first_seen", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("verdict", VERDICT),
    Index(None, "project_id", "first_seen", "tag"),
)

deploys_table = Table(
    "deploys",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), nullable=False),
    Column("tag", Text, nullable=False),
    Column("digest", Text),
    Column("trigger", Coded(str, Trigger), nullable=False),
    Column("status", Coded(str, DeployStatus), nullable=False),
    Column("reason", Text),
    Column("force", Boolean, nullable=False),
    Column("exact", Boolean, nullable=False, server_default=text("false")),
    Column("ordered_by", Text),
    Column("steps", STEPS, nullable=False),
    Column("log", Text, nullable=False),
    Column("merges", Integer, nullable=False),
    Column("cancelling", Boolean, nullable=False, server_default=text("false")),
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("image", IMAGE),
    Column("container", Text, nullable=False, server_default=text("''")),
    Column("release_id", Text, nullable=False, server_default=text("''")),
    Column("released", Boolean, nullable=False, server_default=text("false")),
    Column("replaced", JSON_TUPLE, nullable=False, server_default=text("'[]'")),
    Column("made_way", Boolean, nullable=False, server_default=text("false")),
    Column("claimed_by", Text),
    Column("claimed_until", Instant),
    Column("claim", Integer, nullable=False, server_default=text("0")),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Index(None, "stage_id", "id"),
    Index(None, "project_id", "id"),
    # Few are ever open: webhook and worker look them up among any number of finished ones.
    Index("ix_deploys_open", "stage_id", sqlite_where=OPEN),
    # The worker goes through those that wait by age, and asks of each whether its stage is at work
    # or another goes first. With status and trigger in it too, SQLite answers from the index alone.
    Index("ix_deploys_waiting", "id", "stage_id", "status", "trigger", sqlite_where=_IS_QUEUED),
    Index("ix_deploys_queued", "stage_id", "id", "status", "trigger", sqlite_where=_IS_QUEUED),
    Index("ix_deploys_running", "stage_id", "id", "status", sqlite_where=_IS_RUNNING),
    Index(None, "finished_at"),
    Index("ix_deploys_failed", "finished_at", "stage_id", sqlite_where=HAS_FAILED),
    Index("ix_deploys_unsuccessful", "status", "id", sqlite_where=UNSUCCESSFUL),
    Index("ix_deploys_released", "stage_id", "id", sqlite_where=HAS_RELEASED),
    Index("ix_deploys_succeeded", "stage_id", "id", sqlite_where=HAS_SUCCEEDED),
)

deploy_configs_table = Table(
    "deploy_configs",
    metadata,
    Column("deploy_id", String, ForeignKey("deploys.id", ondelete="CASCADE"), primary_key=True),
    Column("config", LargeBinary, nullable=False),
)

offers_table = Table(
    "offers",
    metadata,
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("digest", Text),
    Column("source", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

instances_table = Table(
    "instances",
    metadata,
    Column("id", String, primary_key=True),
    Column(
        "deploy_id",
        String,
        ForeignKey("deploys.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), nullable=False),
    Column("tag", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("image", IMAGE),
    Column("state", Coded(str, InstanceState), nullable=False),
    Column("container", Text, nullable=False),
    Column("container_id", Text, nullable=False, server_default=text("''")),
    Column("host_port", Integer, nullable=False),
    Column("endpoints", ENDPOINTS),  # None where the port says all
    Column("fingerprint", Text, nullable=False),
    Column("watched", Boolean, nullable=False, server_default=text("true")),
    Column("started_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("live_at", Instant),
    Column("left_at", Instant),
    Column("left_for", Text, nullable=False, server_default=text("''")),
    Column("protocol", Coded(str, AppProtocol), nullable=False, server_default=text("'http'")),
    Index(None, "stage_id", "id"),
    Index("ix_instances_lived", "stage_id", "id", sqlite_where=text("live_at IS NOT NULL")),
    Index(None, "project_id", "id"),
    # Few are ever active: these find them, and those that ended last, without a long walk.
    Index(None, "state", "id"),
    Index(None, "stage_id", "state", "id"),
    Index(None, "stage_id", "state", "stopped_at"),
    Index(None, "digest"),
)

taken_back_table = Table(
    "taken_back",
    metadata,
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("tag", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

vitals_table = Table(
    "vitals",
    metadata,
    Column("instance_id", String, ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True),
    Column("running", Boolean, nullable=False),
    Column("restarting", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("health", Text),
    Column("crashes", Integer, nullable=False),
    Column("crashed_at", Instant),
    Column("trouble", Coded(str, Trouble), nullable=False),
    Column("detail", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

deliveries_table = Table(
    "deliveries",
    metadata,
    Column("id", String, primary_key=True),
    Column("sender", Text, nullable=False),
    Column("status", Integer, nullable=False),
    # The receipt as JSON, of servers that knew no rows for it; theirs only.
    Column("result", Text, nullable=False),
    Column("reason", Text),
    Column("needs_you", Boolean, nullable=False, server_default=text("false")),
    Column("received_at", Instant, nullable=False),
    Column("headers", JSON, nullable=False, server_default=text("'{}'")),
    Column("body", Text, nullable=False, server_default=text("''")),
    Column("truncated", Boolean, nullable=False, server_default=text("false")),
    Column("took_ms", Float, nullable=False, server_default=text("0")),
    Column("hook_id", String),
)

delivery_pushes_table = Table(
    "delivery_pushes",
    metadata,
    Column(
        "delivery_id", String, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("position", Integer, primary_key=True),
    Column("image", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("digest", Text),
    # As they were called at the time, and no keys of others: the log outlives what it names.
    Column("project_id", String),
    Column("project_name", Text),
    Column("stage_id", String),
    Column("stage_name", Text),
    Column("project_created", Boolean, nullable=False),
    Column("outcome", Coded(str, Outcome), nullable=False),
    Column("reason", Text, nullable=False),
    Column("deploy_id", String),
    Index(None, "project_id", "delivery_id", "position"),
)

delivery_skips_table = Table(
    "delivery_skips",
    metadata,
    Column(
        "delivery_id", String, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("position", Integer, primary_key=True),
    Column("image", Text),
    Column("reason", Text, nullable=False),
)

hooks_table = Table(
    "hooks",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", String, nullable=False, unique=True),
    # Sealed: its secret is among it.
    Column("signature", LargeBinary),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("project_id", "name"),
)

polls_table = Table(
    "polls",
    metadata,
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("first_done", Boolean, nullable=False),
    Column("last_at", Instant),
    Column("error", Text),
)

registry_backoffs_table = Table(
    "registry_backoffs",
    metadata,
    Column("host", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("retry_at", Instant),
    Column("refused_until", Instant),
)

events_table = Table(
    "events",
    metadata,
    # SQLite numbers rows by itself only where the key is an INTEGER. The newest event is never
    # deleted, so that no id is given out twice.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("topic", Coded(str, EventTopic), nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("project_id", Text),
    Column("stage_id", Text),
    Column("deploy_id", Text),
    Column("state", JSON, nullable=False),
)
