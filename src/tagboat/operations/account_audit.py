"""Entries in the audit about accounts, sessions and tokens."""

from datetime import datetime

from tagboat.core.accounts import Account
from tagboat.core.audit import AuditAction, AuditSubject, audit_entry, changes_between
from tagboat.core.ports import Tx
from tagboat.core.principal import Principal


def account_subject(account: Account) -> AuditSubject:
    """Return an account as the subject of a change."""
    return AuditSubject(id=account.id, name=account.name)


def record_account(
    tx: Tx, actor: Principal, at: datetime, old: Account | None, new: Account | None
) -> None:
    """Record that an account was made (`old` is None), changed, or deleted (`new` is None).

    A change of nothing that people see is not recorded.
    """
    changes = changes_between(old, new)
    if (account := new or old) is None or (old is not None and new is not None and not changes):
        return
    action = AuditAction.ACCOUNT_CHANGE
    if old is None:
        action = AuditAction.ACCOUNT_CREATE
    elif new is None:
        action = AuditAction.ACCOUNT_DELETE
    tx.record_audit(audit_entry(actor, at, action, account_subject(account), changes))


def record_sign_in(tx: Tx, actor: Principal, at: datetime, account: Account) -> None:
    """Record that a session of an account begins. Wrong passwords are not recorded."""
    # Anybody can make wrong ones, as many as they like.
    tx.record_audit(audit_entry(actor, at, AuditAction.ACCOUNT_SIGN_IN, account_subject(account)))
