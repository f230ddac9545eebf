"""The tables. Column names are the field names of the values in `tagboat.core`, so that a row becomes a value as it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from tagboat.core.catalog import RegistryKind, Strategy
from tagboat.core.deploy import (
    PENDING_STEPS,
    DeployStatus,
    InstanceState,
    Step,
    StepName,
    StepStatus,
    Trigger,
)
from tagboat.core.health import Trouble
from tagboat.core.image import ImageName
from tagboat.core.protocol import AppProtocol
from tagboat.core.push import PushVerdict
from tagboat.core.tags import parse_tag_pattern

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_decode_known_steps = msgspec.json.Decoder(tuple[Step, ...]).decode
_decode_verdict = msgspec.json.Decoder(PushVerdict).decode
_parse_pattern = lru_cache(1024)(parse_tag_pattern)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as microseconds since 1970 so that every database orders it alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        """To microseconds."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """From microseconds."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Coded(TypeDecorator[object]):
    """A value kept as text, by a pair of functions."""

    impl = Text
    cache_ok = True

    def __init__(self, encode: Callable[[object], str], decode: Callable[[str], object]) -> None:
        super().__init__()
        self.encode = encode
        self.decode = decode

    def process_bind_param(self, value: object, _dialect: Dialect) -> str | None:
        """To text."""
        return None if value is None else self.encode(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> object:
        """From text."""
        return None if value is None else self.decode(value)


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


_PENDING = _to_json(PENDING_STEPS)


def _steps_text(steps: object) -> str:
    """As JSON. Those of a deploy that has not begun are the same for every one, and the webhook path writes no others."""
    return _PENDING if steps is PENDING_STEPS else _to_json(steps)


def _decode_steps(text: str) -> tuple[Step, ...]:
    """From JSON. A deploy of an older version lacks the steps that came later: they were skipped."""
    steps = {step.name: step for step in _decode_known_steps(text)}
    return tuple(steps.get(name) or Step(name, StepStatus.SKIPPED) for name in StepName)


def _to_image_name(text: str) -> ImageName:
    host, _, path = text.partition("/")
    return ImageName(host, path)


def _pattern_text(pattern: Any) -> str:  # noqa: ANN401 - a TagPattern, which Coded cannot know
    text: str = pattern.text
    return text


def _json() -> Coded:
    return Coded(_to_json, msgspec.json.decode)


def _json_tuple() -> Coded:
    return Coded(_to_json, lambda text: tuple(msgspec.json.decode(text)))


_IS_QUEUED, _IS_RUNNING = text("status = 'queued'"), text("status = 'running'")
OPEN = text("status IN ('queued', 'running')")
"""Of the table `deploys`, in literals: SQLite uses a partial index only for a condition it can prove the same."""


def _in_status(status: DeployStatus) -> Callable[[FromClause], ColumnElement[bool]]:
    return lambda table: table.c.status == literal_column(f"'{status}'")


QUEUED, RUNNING = _in_status(DeployStatus.QUEUED), _in_status(DeployStatus.RUNNING)
"""Whether the deploy of a row is in that status, by the table or its alias; in literals for the same reason."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", _json(), nullable=False),
)

registries = Table(
    "registries",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False, unique=True),
    Column("kind", Coded(str, RegistryKind), nullable=False),
    Column("username", Text, nullable=False),
    Column("password", LargeBinary),
    Column("ca_cert", Text, nullable=False, server_default=text("''")),
    Column("login_service", Text, nullable=False, server_default=text("''")),
)

projects = Table(
    "projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("image", Coded(str, _to_image_name), nullable=False, unique=True),
    Column("port", Integer, nullable=False),
    Column("healthcheck", Text, nullable=False),
    Column("env", _json(), nullable=False),
    Column("run", LargeBinary),  # sealed: there are secrets among it
    Column("registry_id", String, ForeignKey("registries.id")),
    Column("inspected", Boolean, nullable=False),
    Column("port_set", Boolean, nullable=False, server_default=text("false")),
    Column("healthcheck_set", Boolean, nullable=False, server_default=text("false")),
    Column("protocol", Coded(str, AppProtocol), nullable=False, server_default=text("'http'")),
    Column("protocol_set", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Instant, nullable=False),
)

stages = Table(
    "stages",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("pattern", Coded(_pattern_text, _parse_pattern), nullable=False),
    Column("position", Integer, nullable=False),
    Column("auto_deploy", Boolean, nullable=False),
    Column("allow_downgrade", Boolean, nullable=False, server_default=text("false")),
    Column("max_instances", Integer, nullable=False),
    Column("env", _json(), nullable=False),
    Column("run", LargeBinary),
    Column("domains", _json_tuple(), nullable=False),
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
    Column("image_volumes", _json_tuple(), nullable=False, server_default=text("'[]'")),
    Column("adopted_volumes", _json(), nullable=False, server_default=text("'{}'")),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("project_id", "name"),
    # Few of them have one, and each sweep asks which.
    Index("ix_stages_mortal", "id", sqlite_where=text("ttl_h IS NOT NULL")),
)

hosts = Table(
    "hosts",
    metadata,
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), primary_key=True),
    Column("is_domain", Boolean, primary_key=True),
    Column("host", Text, primary_key=True),
    # Not unique: two stages may have claimed one host since before there was a rule against it.
    Index(None, "host"),
)

tags = Table(
    "tags",
    metadata,
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("digest", Text),
    Column("first_seen", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("verdict", Coded(_to_json, _decode_verdict)),
)

deploys = Table(
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
    Column("steps", Coded(_steps_text, _decode_steps), nullable=False),
    Column("log", Text, nullable=False),
    Column("merges", Integer, nullable=False),
    Column("cancelling", Boolean, nullable=False, server_default=text("false")),
    Column("image", Coded(str, _to_image_name)),
    Column("container", Text, nullable=False, server_default=text("''")),
    Column("release_id", Text, nullable=False, server_default=text("''")),
    Column("released", Boolean, nullable=False, server_default=text("false")),
    Column("replaced", _json_tuple(), nullable=False, server_default=text("'[]'")),
    Column("made_way", Boolean, nullable=False, server_default=text("false")),
    Column("claimed_by", Text),
    Column("claimed_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Index(None, "stage_id", "id"),
    Index(None, "project_id", "id"),
    # Few are ever open: the webhook path and the worker look them up among any number of finished ones.
    Index("ix_deploys_open", "stage_id", sqlite_where=OPEN),
    # The worker goes through those that wait by age, and asks of each whether its stage is at work or another goes before it.
    # With status and trigger in it too, the index answers by itself: SQLite would look them up in the row.
    Index("ix_deploys_waiting", "id", "stage_id", "status", "trigger", sqlite_where=_IS_QUEUED),
    Index("ix_deploys_queued", "stage_id", "id", "status", "trigger", sqlite_where=_IS_QUEUED),
    Index("ix_deploys_running", "stage_id", "id", "status", sqlite_where=_IS_RUNNING),
    Index(None, "finished_at"),
)

deploy_configs = Table(
    "deploy_configs",
    metadata,
    Column("deploy_id", String, ForeignKey("deploys.id", ondelete="CASCADE"), primary_key=True),
    Column("config", LargeBinary, nullable=False),
)

offers = Table(
    "offers",
    metadata,
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("digest", Text),
    Column("source", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

instances = Table(
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
    Column("image", Coded(str, _to_image_name)),
    Column("state", Coded(str, InstanceState), nullable=False),
    Column("container", Text, nullable=False),
    Column("container_id", Text, nullable=False, server_default=text("''")),
    Column("host_port", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("watched", Boolean, nullable=False, server_default=text("true")),
    Column("started_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("protocol", Coded(str, AppProtocol), nullable=False, server_default=text("'http'")),
    Index(None, "stage_id", "id"),
    Index(None, "project_id", "id"),
    # Few are ever active, among any number of ended ones: these find them, and those ended last, without walking the history.
    Index(None, "state", "id"),
    Index(None, "stage_id", "state", "id"),
    Index(None, "stage_id", "state", "stopped_at"),
    Index(None, "digest"),
)

taken_back = Table(
    "taken_back",
    metadata,
    Column("stage_id", String, ForeignKey("stages.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("tag", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

vitals = Table(
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

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String, primary_key=True),
    Column("sender", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("result", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("headers", _json(), nullable=False, server_default=text("'{}'")),
    Column("body", Text, nullable=False, server_default=text("''")),
    Column("truncated", Boolean, nullable=False, server_default=text("false")),
    Column("took_ms", Float, nullable=False, server_default=text("0")),
    Column("hook_id", String),
)

hooks = Table(
    "hooks",
    metadata,
    Column("id", String, primary_key=True),
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", String, nullable=False, unique=True),
    Column("signature", LargeBinary),  # sealed: its secret is among it
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("project_id", "name"),
)

polls = Table(
    "polls",
    metadata,
    Column("project_id", String, ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("first_done", Boolean, nullable=False),
    Column("last_at", Instant),
    Column("error", Text),
)

registry_backoffs = Table(
    "registry_backoffs",
    metadata,
    Column("host", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("retry_at", Instant),
    Column("refused_until", Instant),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Instant, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "at"),
)

pulled_images = Table(
    "pulled_images",
    metadata,
    Column("image", Coded(str, _to_image_name), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("pulled_at", Instant, nullable=False),
    Column("removing_until", Instant),
)

removals = Table(
    "removals",
    metadata,
    # No keys of others: what is to be removed goes first.
    Column("project_id", String, primary_key=True),
    Column("stage_id", String, primary_key=True),
    Column("volumes", Boolean, nullable=False),
)


def with_partial_indexes(dialect: str) -> None:
    """Have the indexes over a part of a table be so in `dialect` too. Named in the tables, each would load it: 1.5 MB."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if (where := index.dialect_options["sqlite"]["where"]) is not None:
                index.dialect_options[dialect]["where"] = where
