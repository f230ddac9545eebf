"""Entries of the audit in words: pure functions."""

from collections.abc import Mapping

from tagboat.core.audit import AuditAction, AuditEntry, FieldChange

_ACTIONS: Mapping[str, str] = {
    AuditAction.PROJECT_CREATE: "made the project",
    AuditAction.PROJECT_CHANGE: "changed the project",
    AuditAction.PROJECT_DELETE: "deleted the project",
    AuditAction.PROJECT_POLL: "polled",
    AuditAction.PROJECT_ADOPT: "took over a container as",
    AuditAction.STAGE_CREATE: "made the stage",
    AuditAction.STAGE_CHANGE: "changed the stage",
    AuditAction.STAGE_DELETE: "deleted the stage",
    AuditAction.STAGE_HOLD: "held",
    AuditAction.STAGE_RELEASE: "released",
    AuditAction.STAGE_RESTART: "restarted",
    AuditAction.STAGE_STOP: "stopped",
    AuditAction.STAGE_START: "started",
    AuditAction.STAGE_RUN: "ran a command in",
    AuditAction.DEPLOY_CREATE: "deployed",
    AuditAction.DEPLOY_ROLLBACK: "rolled back to",
    AuditAction.DEPLOY_PROMOTE: "promoted",
    AuditAction.DEPLOY_CANCEL: "cancelled the deploy of",
    AuditAction.REGISTRY_CREATE: "added the registry",
    AuditAction.REGISTRY_CHANGE: "changed the registry",
    AuditAction.REGISTRY_DELETE: "deleted the registry",
    AuditAction.WEBHOOK_CREATE: "made the webhook URL",
    AuditAction.WEBHOOK_CHANGE: "changed the webhook URL",
    AuditAction.WEBHOOK_ROTATE: "replaced the webhook URL",
    AuditAction.WEBHOOK_DELETE: "revoked the webhook URL",
    AuditAction.DELIVERY_REDELIVER: "processed a delivery again",
    AuditAction.SETTINGS_CHANGE: "changed the settings",
    AuditAction.SETTINGS_SETUP_LINK: "made a set-up link",
    AuditAction.SETTINGS_WEBHOOK_URL: "replaced the webhook URL for all images",
    AuditAction.SETTINGS_WEBHOOK_SIGNATURE: "changed the signature of the webhook",
    AuditAction.SERVER_ROTATE_KEY: "replaced the key of the database",
    AuditAction.SERVER_BACKUP: "made a backup",
    AuditAction.SERVER_RESTORE: "restored a backup",
    AuditAction.ACCOUNT_CREATE: "made the account",
    AuditAction.ACCOUNT_CHANGE: "changed the account",
    AuditAction.ACCOUNT_DELETE: "deleted the account",
    AuditAction.ACCOUNT_SIGN_IN: "signed in as",
    AuditAction.ACCOUNT_SIGN_IN_LINK: "made a sign-in link for",
    AuditAction.ACCOUNT_SIGN_OUT: "signed out",
    AuditAction.TOKEN_CREATE: "made the token",
    AuditAction.TOKEN_DELETE: "deleted the token",
}
_ACTOR_KINDS = {
    "account": "",
    "token": "token",
    "admin-token": "admin token",
    "local": "command line",
    "webhook": "webhook",
    "poll": "poll",
    "server": "server",
}
_MOST_OF_VALUE = 120


def action_words(action: str) -> str:
    """Return an action as a verb; one of another release as it is."""
    return _ACTIONS.get(action, action)


def actor_words(entry: AuditEntry) -> tuple[str, str]:
    """Return the name of the one that changed something, and its kind; empty for a person."""
    kind = _ACTOR_KINDS.get(entry.actor_kind, entry.actor_kind)
    return (entry.actor_name or kind), ("" if entry.actor_name == kind else kind)


def subject_words(entry: AuditEntry) -> str:
    """Return what was changed, such as `v1.4 in shop/prod`; empty for the server itself."""
    place = "/".join(name for name in (entry.project_name, entry.stage_name) if name)
    if entry.subject_kind in {"project", "stage"} or not entry.subject_name:
        return place or entry.subject_name
    return f"{entry.subject_name} in {place}" if place else entry.subject_name


def change_words(change: FieldChange) -> tuple[str, str, str]:
    """Return a change as the field, the value before and the one after."""
    return change.field, _value_words(change.before), _value_words(change.after)


def _value_words(value: object) -> str:
    match value:
        case None:
            return "not set"
        case True:
            return "yes"
        case False:
            return "no"
        case "":
            return "empty"
        case list():
            text = ", ".join(str(one) for one in value) or "none"
        case _:
            text = str(value)
    return text if len(text) <= _MOST_OF_VALUE else f"{text[:_MOST_OF_VALUE]}…"
