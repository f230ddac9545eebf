"""The settings that change while the server runs, and the global webhook URL."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from tagboat.core.audit import AuditAction, AuditSubject, FieldChange, changes_between
from tagboat.core.auto_create import what_the_url_allows
from tagboat.core.config import POLL_SCHEDULE, WEBHOOK_SECRET, Config, read_auto_create, read_config
from tagboat.core.ports import Topic, Tx
from tagboat.core.project_webhook import Signature
from tagboat.operations.services import OperationServices, accept
from tagboat.operations.validation import check_signature
from tagboat.operations.webhooks import NEW_URL


class GlobalUrl(Struct, frozen=True):
    """The URL that senders call, with its secret; `allows` says what its holder can do."""

    url: str
    allows: str


class SettingsOperations(Struct, frozen=True):
    """Reads and changes of the settings."""

    services: OperationServices

    async def read(self) -> Config:
        """Return the settings."""
        return await self.services.store.read(read_config)

    async def change(
        self, values: Mapping[str, Any], check: Callable[[Config], None] = accept
    ) -> Config:
        """Change the settings given, by name, unless `check` raises; they hold from now on."""

        def work(tx: Tx) -> Config:
            check(read_config(tx))
            return put_settings(tx, self.services, values)

        config = await self.services.store.write(work)
        if POLL_SCHEDULE in values:
            # The next answer about a project must have the time of the new schedule.
            await self.services.polls.settle()
        return config

    async def webhook_url(self) -> GlobalUrl:
        """Return the URL that senders call; make its secret where there is none yet."""
        secret = await self.services.store.read(lambda reader: reader.setting(WEBHOOK_SECRET))
        return await self._global_url(
            # Nobody has changed anything: there was none.
            secret if isinstance(secret, str) else await self.services.new_secret(accept)
        )

    async def regenerate_webhook_url(self) -> GlobalUrl:
        """Make a new URL; the old one is unknown from the next call on."""

        def record(tx: Tx) -> None:
            self._record(tx, AuditAction.SETTINGS_WEBHOOK_URL, NEW_URL)

        return await self._global_url(await self.services.new_secret(record))

    async def webhook_signature(self) -> Signature | None:
        """Return how calls of the URL must be signed, None where they need not be."""
        return await self.services.store.read(lambda reader: reader.webhook_signature())

    async def set_webhook_signature(self, signature: Signature | None) -> None:
        """Demand that calls of the URL are signed, or no longer. Others are as a wrong secret.

        Raises FieldError.
        """
        check_signature(signature, "secret")

        def work(tx: Tx) -> None:
            changes = changes_between(tx.webhook_signature(), signature)
            tx.put_webhook_signature(signature)
            self._record(tx, AuditAction.SETTINGS_WEBHOOK_SIGNATURE, changes)

        await self.services.store.write(work)

    def _record(self, tx: Tx, action: AuditAction, changes: tuple[FieldChange, ...]) -> None:
        self.services.record(tx, action, AuditSubject(), changes)

    async def _global_url(self, secret: str) -> GlobalUrl:
        policy = await self.services.store.read(read_auto_create)
        return GlobalUrl(self.services.webhook_url(secret), what_the_url_allows(policy))


def put_settings(tx: Tx, services: OperationServices, values: Mapping[str, Any]) -> Config:
    """Change the settings given, by name, and return them all."""
    old = read_config(tx)
    for name, value in values.items():
        tx.put_setting(name, value)
    tx.announce(Topic.SETTINGS)
    new = read_config(tx)
    changes = changes_between(old, new)
    services.record(tx, AuditAction.SETTINGS_CHANGE, AuditSubject(), changes)
    return new
