"""Audit: the record of who changed what, from where, with the values before and after."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

import msgspec

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Deploy
from tagboat.core.masking import MASK
from tagboat.core.principal import Principal
from tagboat.core.project_webhook import ProjectWebhook

MOST_CHANGES = 200
"""Changes of one entry that are kept."""
LONGEST_VALUE = 300
"""Characters of a value that are kept: enough to know it again."""

# As callers of the API know them.
_API_NAMES = {"pattern": "tag_pattern", "registry_id": "registry"}
_FLATTENED = frozenset({"run"})
# Ids and times say nothing to a reader, and a hold is an action with a name and a time itself.
_UNTOLD = frozenset(
    {
        *("id", "project_id", "created_at", "signed_in_at", "used_at", "held_at", "held_by"),
        *("stopped_at", "stopped_by", "inspected", "secret_hash"),
    }
)


class AuditAction(StrEnum):
    """The kinds of changes. The part before the point is the kind of their subject."""

    # The values are stored, and part of the API.
    PROJECT_CREATE = "project.create"
    PROJECT_CHANGE = "project.change"
    PROJECT_DELETE = "project.delete"
    PROJECT_POLL = "project.poll"
    PROJECT_ADOPT = "project.adopt"
    STAGE_CREATE = "stage.create"
    STAGE_CHANGE = "stage.change"
    STAGE_DELETE = "stage.delete"
    STAGE_HOLD = "stage.hold"
    STAGE_RELEASE = "stage.release"
    STAGE_RESTART = "stage.restart"
    STAGE_STOP = "stage.stop"
    STAGE_START = "stage.start"
    STAGE_RUN = "stage.run"
    DEPLOY_CREATE = "deploy.create"
    DEPLOY_ROLLBACK = "deploy.rollback"
    DEPLOY_PROMOTE = "deploy.promote"
    DEPLOY_CANCEL = "deploy.cancel"
    REGISTRY_CREATE = "registry.create"
    REGISTRY_CHANGE = "registry.change"
    REGISTRY_DELETE = "registry.delete"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_CHANGE = "webhook.change"
    WEBHOOK_ROTATE = "webhook.rotate"
    WEBHOOK_DELETE = "webhook.delete"
    DELIVERY_REDELIVER = "delivery.redeliver"
    SETTINGS_CHANGE = "settings.change"
    SETTINGS_WEBHOOK_URL = "settings.webhook-url"
    SETTINGS_WEBHOOK_SIGNATURE = "settings.webhook-signature"
    SETTINGS_SETUP_LINK = "settings.setup-link"
    ACCOUNT_CREATE = "account.create"
    ACCOUNT_CHANGE = "account.change"
    ACCOUNT_DELETE = "account.delete"
    ACCOUNT_SIGN_IN = "account.sign-in"
    ACCOUNT_SIGN_OUT = "account.sign-out"
    ACCOUNT_SIGN_IN_LINK = "account.sign-in-link"
    TOKEN_CREATE = "token.create"  # noqa: S105 - the name of an action
    TOKEN_DELETE = "token.delete"  # noqa: S105 - the name of an action
    SERVER_ROTATE_KEY = "server.rotate-key"
    SERVER_BACKUP = "server.backup"
    SERVER_RESTORE = "server.restore"

    @property
    def changes_fields(self) -> bool:
        """True for actions that are nothing but the fields they change."""
        return self.value.endswith(".change")


class FieldChange(msgspec.Struct, frozen=True, array_like=True):
    """The value of a field before and after, as JSON values; None where it had or has none.

    A secret is `MASK` on both sides, whatever it is.
    """

    field: str
    before: object
    after: object


# This and the entry are structs of msgspec: the webhook path makes one of each for a call.
class AuditSubject(msgspec.Struct, frozen=True, kw_only=True):
    """The thing that was changed, by id and by its name of the time, with its project and stage.

    None where it belongs to none.
    """

    id: str | None = None
    name: str = ""
    project_id: str | None = None
    project_name: str | None = None
    stage_id: str | None = None
    stage_name: str | None = None


def project_subject(project: Project) -> AuditSubject:
    """Return a project as the subject of a change."""
    return AuditSubject(
        id=project.id, name=project.name, project_id=project.id, project_name=project.name
    )


def stage_subject(project: Project, stage: Stage) -> AuditSubject:
    """Return a stage as the subject of a change."""
    return AuditSubject(
        id=stage.id,
        name=stage.name,
        project_id=project.id,
        project_name=project.name,
        stage_id=stage.id,
        stage_name=stage.name,
    )


def deploy_subject(project: Project, stage: Stage, deploy: Deploy) -> AuditSubject:
    """Return a deploy as the subject of a change, named by its tag."""
    return AuditSubject(
        id=deploy.id,
        name=deploy.tag,
        project_id=project.id,
        project_name=project.name,
        stage_id=stage.id,
        stage_name=stage.name,
    )


def webhook_subject(project: Project, webhook: ProjectWebhook) -> AuditSubject:
    """Return a webhook URL of a project as the subject of a change."""
    return AuditSubject(
        id=webhook.id, name=webhook.name, project_id=project.id, project_name=project.name
    )


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change: who made it, from where, and what it was.

    `id` rises in the order of commits; it is 0 until the entry is on record. `actor_id` is the id
    of an account, token or webhook URL, None for others; `address` the IP address that the request
    came from, empty where there is none. `action` is an `AuditAction`, or one of another release.
    The subject and what it belongs to are as in `AuditSubject`. `note` is words for a person.
    """

    id: int = 0
    at: datetime
    actor_kind: str
    actor_name: str
    actor_id: str | None = None
    address: str = ""
    action: str
    subject_id: str | None = None
    subject_name: str = ""
    project_id: str | None = None
    project_name: str | None = None
    stage_id: str | None = None
    stage_name: str | None = None
    changes: tuple[FieldChange, ...] = ()
    note: str = ""

    @property
    def subject_kind(self) -> str:
        """The kind of the subject, such as `stage`."""
        return self.action.partition(".")[0]


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Limits entries to those that have all of these; None: any.

    `actor` is a kind of principal or a name; `project` an id, and `subject` that of what was
    changed, which is quick only within a short time. `since` is the first time that counts, `until`
    the first that does not.
    """

    actor: str | None = None
    action: str | None = None
    project: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


AuditPlace = tuple[datetime, int]
"""The place of an entry among all: its time and its id."""


def audit_entry(
    actor: Principal,
    at: datetime,
    action: AuditAction,
    subject: AuditSubject,
    changes: tuple[FieldChange, ...] = (),
    note: str = "",
) -> AuditEntry:
    """Return the entry of a change by `actor`."""
    return AuditEntry(
        at=at,
        actor_kind=actor.kind.value,
        actor_name=actor.name,
        actor_id=actor.id,
        address=actor.address,
        action=action.value,
        subject_id=subject.id,
        subject_name=subject.name,
        project_id=subject.project_id,
        project_name=subject.project_name,
        stage_id=subject.stage_id,
        stage_name=subject.stage_name,
        changes=changes,
        note=note,
    )


def changes_between(old: object, new: object) -> tuple[FieldChange, ...]:
    """Return the fields in which two versions of a frozen value differ, secrets masked.

    None for `old` is a value that is new, for `new` one that is deleted: its fields that have their
    defaults are left out then. Fields that are not in the `repr` of their value are secrets. Maps
    are compared by key. Of very many changes only the first are returned, and their number.
    """
    before = {} if old is None else dict(_leaves(old))
    after = {} if new is None else dict(_leaves(new))
    found = [
        FieldChange(name, _told(before.get(name)), _told(after.get(name)))
        for name in dict.fromkeys((*before, *after))
        if _differs(before.get(name), after.get(name))
    ]
    if (more := len(found) - MOST_CHANGES) > 0:
        found = [*found[:MOST_CHANGES], FieldChange("…", None, f"{more} more")]
    return tuple(found)


class _Leaf(msgspec.Struct, frozen=True):
    """A field, or a key of one: its value, and whether it is secret, and is the default."""

    value: object
    secret: bool
    is_default: bool


def _leaves(value: Any, prefix: str = "", *, secret: bool = False) -> Iterator[tuple[str, _Leaf]]:  # noqa: ANN401 - any of the core's dataclasses
    for field in fields(value):
        if field.name in _UNTOLD:
            continue
        part = getattr(value, field.name)
        is_secret = secret or not field.repr
        name = prefix + _API_NAMES.get(field.name, field.name)
        if isinstance(part, Mapping):
            for key, item in part.items():
                yield f"{name}.{key}", _Leaf(item, is_secret, is_default=False)
        # One with words of its own for people is shown by those.
        elif is_dataclass(part) and type(part).__str__ is object.__str__:
            inner = prefix if field.name in _FLATTENED else f"{name}."
            yield from _leaves(part, inner, secret=is_secret)
        else:
            made = field.default_factory
            default = field.default if made is MISSING else made()
            yield name, _Leaf(part, is_secret, is_default=part == default)


def _differs(before: _Leaf | None, after: _Leaf | None) -> bool:
    if before is not None and after is not None:
        return before.value != after.value
    # Of what comes or goes only the part that somebody has set.
    leaf = before or after
    return leaf is not None and not leaf.is_default and leaf.value is not None


def _told(leaf: _Leaf | None) -> object:
    if leaf is None or leaf.value is None:
        return None
    return MASK if leaf.secret else _as_json(leaf.value)


def _as_json(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item) for item in value]
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
