"""Settings, webhook URLs and their signatures, remembered answers, and leases."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, select, tuple_

from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.events import setting_change
from tagboat.core.idempotency import RememberedAnswer
from tagboat.core.project_webhook import KeyedHash, ProjectWebhook, Signature, WebhookAccess
from tagboat.core.store_port import Topic
from tagboat.store import tables, upkeep_tables
from tagboat.store.part import ReadPart
from tagboat.store.rows import SIGNATURE_SETTING, to_row
from tagboat.store.session import WriteSession, missing

_ACCESS = select(tables.settings_table.c.name, tables.settings_table.c.value).where(
    tables.settings_table.c.name.in_((WEBHOOK_SECRET, SIGNATURE_SETTING))
)

_LEASE_FORGOTTEN_AFTER = timedelta(days=1)


class SettingReads(ReadPart):
    """Implements `SettingReader`."""

    def setting(self, name: str) -> object | None:
        """Return the value of a setting, None when it was never set."""
        table = tables.settings_table
        value = self._session.scalar(select(table.c.value).where(table.c.name == name))
        return self._rows.setting(name, value)

    def webhook_secret_hash(self) -> KeyedHash | None:
        """Return the hash of the global URL's secret, None before it was made."""
        table = tables.settings_table
        value = self._session.scalar(select(table.c.value).where(table.c.name == WEBHOOK_SECRET))
        return self._rows.setting_hash(WEBHOOK_SECRET, value)

    def webhook_access(self) -> WebhookAccess:
        """Return `webhook_secret_hash` and `webhook_signature` by one read."""
        values = {row["name"]: row["value"] for row in self._session.rows(_ACCESS)}
        sealed = self._rows.setting(SIGNATURE_SETTING, values.get(SIGNATURE_SETTING))
        return (
            self._rows.setting_hash(WEBHOOK_SECRET, values.get(WEBHOOK_SECRET)),
            self._rows.signature(sealed) if isinstance(sealed, str) else None,
        )

    def hook(self, hook_id: str) -> ProjectWebhook:
        """Return the webhook of that id, its signature in the clear."""
        found = self._hooks_of(select(tables.hooks_table).where(tables.hooks_table.c.id == hook_id))
        return found[0] if found else missing("webhook", hook_id)

    def hooks(self, project_id: str | None = None) -> list[ProjectWebhook]:
        """Return the webhooks of a project, or all, in order of name."""
        query = select(tables.hooks_table).order_by(
            tables.hooks_table.c.name, tables.hooks_table.c.id
        )
        return self._hooks_of(
            query
            if project_id is None
            else query.where(tables.hooks_table.c.project_id == project_id)
        )

    def webhook_signature(self) -> Signature | None:
        """Return what calls of the global URL must be signed with, None for nothing."""
        sealed = self.setting(SIGNATURE_SETTING)
        return self._rows.signature(sealed) if isinstance(sealed, str) else None

    def remembered_answer(self, key: str, route: str) -> RememberedAnswer | None:
        """Return the answer given before to a key at a route, None if none is kept."""
        table = upkeep_tables.idempotency_keys_table
        query = select(table).where(table.c.key == key, table.c.route == route)
        return self._session.first(RememberedAnswer, query)

    def leases(self, prefix: str) -> dict[str, float]:
        """Return the seconds left of the leases whose names begin so, by holder."""
        table, now = upkeep_tables.leases_table, self._session.now()
        named = table.c.name.startswith(prefix, autoescape=True)
        rows = self._session.rows(select(table).where(named, table.c.until > now))
        return {row["holder"]: (row["until"] - now).total_seconds() for row in rows}

    def _hooks_of(self, query: Select[Any]) -> list[ProjectWebhook]:
        return [self._rows.hook(row) for row in self._session.rows(query)]


class SettingWrites(SettingReads):
    """Implements `SettingWriter`."""

    _session: WriteSession

    def webhook_access(self) -> WebhookAccess:
        """Return `webhook_secret_hash` and `webhook_signature`, read once for all calls."""
        if self._session.webhook_access is None:
            self._session.webhook_access = super().webhook_access()
        return self._session.webhook_access

    def put_setting(self, name: str, value: object) -> None:
        """Set a setting to a JSON value; None unsets it. One that is a secret is sealed."""
        table = tables.settings_table
        if value is None:
            self._session.execute(delete(table).where(table.c.name == name))
        else:
            row = {"name": name, "value": self._rows.of_setting(name, value)}
            self._session.upsert(table, row)
        self._session.webhook_access = None
        self._session.record(setting_change(name))

    def add_hook(self, hook: ProjectWebhook) -> None:
        """Add a webhook, its signature sealed."""
        self._session.insert(tables.hooks_table, self._rows.of_hook(hook))
        self._webhooks_changed()

    def put_hook(self, hook: ProjectWebhook) -> None:
        """Replace a webhook, its signature sealed."""
        self._session.replace(tables.hooks_table, hook.id, self._rows.of_hook(hook))
        self._webhooks_changed()

    def delete_hook(self, hook_id: str) -> None:
        """Delete a webhook."""
        self._session.delete(tables.hooks_table, hook_id)
        self._webhooks_changed()

    def put_webhook_signature(self, signature: Signature | None) -> None:
        """Set what calls of the global URL must be signed with; None for nothing."""
        sealed = None if signature is None else self._rows.of_signature(signature)
        self.put_setting(SIGNATURE_SETTING, sealed)
        self._session.announce(Topic.SETTINGS)

    def remember_answer(self, answer: RememberedAnswer) -> None:
        """Remember the answer to a key. One that is remembered already is a ConflictError."""
        self._session.insert(upkeep_tables.idempotency_keys_table, to_row(answer))

    def forget_answer(self, key: str, route: str) -> None:
        """Forget the answer to a key at a route, if there is one."""
        table = upkeep_tables.idempotency_keys_table
        where = (table.c.key == key) & (table.c.route == route)
        self._session.execute(delete(table).where(where))

    def prune_answers(self, before: datetime, at_most: int) -> int:
        """Forget up to `at_most` answers given before `before`; return how many went."""
        table = upkeep_tables.idempotency_keys_table
        old = select(table.c.key, table.c.route).where(table.c.at < before).limit(at_most)
        key = tuple_(table.c.key, table.c.route)
        return self._session.execute(delete(table).where(key.in_(old))).rowcount

    def acquire_lease(self, name: str, holder: str, for_s: float) -> bool:
        """Take or renew a lease for `for_s` seconds; return False where another holds it.

        Those that ran out a day ago are forgotten.
        """
        table, now = upkeep_tables.leases_table, self._session.now()
        self._session.execute(delete(table).where(table.c.until < now - _LEASE_FORGOTTEN_AFTER))
        until = now + timedelta(seconds=for_s)
        # In one statement: two servers that look first would both find it free.
        row = {"name": name, "holder": holder, "until": until}
        taken = self._session.insertion(table, row).on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "until": until},
            where=(table.c.holder == holder) | (table.c.until <= now),
        )
        return self._session.execute(taken.returning(table.c.name)).first() is not None

    def _webhooks_changed(self) -> None:
        self._session.announce(Topic.SETTINGS)
        self._session.record(setting_change(WEBHOOKS))


WEBHOOKS = "webhooks"
"""Subject of the event that the webhook URLs of projects have changed."""
