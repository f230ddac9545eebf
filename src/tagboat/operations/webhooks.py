"""Webhook URLs of projects: making, changing, rotating and revoking them."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from tagboat.core.audit import AuditAction, FieldChange, changes_between, webhook_subject
from tagboat.core.catalog import Project
from tagboat.core.errors import ConflictError
from tagboat.core.ids import new_id
from tagboat.core.masking import MASK
from tagboat.core.ports import Reader, Tx
from tagboat.core.project_webhook import ProjectWebhook, Signature, hash_secret
from tagboat.core.values import replace
from tagboat.operations.services import OperationServices, accept
from tagboat.operations.validation import check_signature

NEW_URL = (FieldChange("url", MASK, MASK),)
"""The change of a webhook URL, which is a secret."""


class WebhookView(Struct, frozen=True):
    """A webhook URL of a project. `url` is shown once, when it was made or rotated; else None."""

    webhook: ProjectWebhook
    project: Project
    url: str | None = None


class WebhookOperations(Struct, frozen=True):
    """Changes of webhook URLs. All raise NotFoundError for one that does not exist."""

    services: OperationServices

    async def create(self, project_id: str, name: str, signature: Signature | None) -> WebhookView:
        """Make a URL that accepts pushes of the project's image only.

        Raises ConflictError and FieldError.
        """
        check_signature(signature, "signature.secret")

        def work(tx: Tx) -> WebhookView:
            return add_webhook(tx, self.services, tx.project(project_id), name, signature)

        return await self.services.store.write(work)

    async def change(
        self,
        webhook_id: str,
        fields: Mapping[str, Any],
        check: Callable[[ProjectWebhook], None] = accept,
    ) -> WebhookView:
        """Change the fields given unless `check` raises; the URL stays.

        Raises ConflictError and FieldError.
        """
        check_signature(fields.get("signature"), "signature.secret")

        def work(tx: Tx) -> WebhookView:
            old = tx.hook(webhook_id)
            check(old)
            webhook = replace(old, **fields)
            _check_name(tx, webhook)
            tx.put_hook(webhook)
            project = tx.project(webhook.project_id)
            self.services.record(
                tx,
                AuditAction.WEBHOOK_CHANGE,
                webhook_subject(project, webhook),
                changes_between(old, webhook),
            )
            return WebhookView(webhook, project)

        return await self.services.store.write(work)

    async def rotate(self, webhook_id: str) -> WebhookView:
        """Make a new URL; the old one is unknown from the next call on."""
        secret = str(uuid.uuid4())

        def work(tx: Tx) -> WebhookView:
            # Name and signature stay: the sender needs another URL only.
            webhook = replace(tx.hook(webhook_id), secret_hash=hash_secret(secret))
            tx.put_hook(webhook)
            project = tx.project(webhook.project_id)
            self.services.record(
                tx, AuditAction.WEBHOOK_ROTATE, webhook_subject(project, webhook), NEW_URL
            )
            return WebhookView(webhook, project, self.services.webhook_url(secret))

        return await self.services.store.write(work)

    async def revoke(
        self, webhook_id: str, check: Callable[[ProjectWebhook], None] = accept
    ) -> None:
        """Revoke a URL unless `check` raises: it is unknown from the next call on."""

        def work(tx: Tx) -> None:
            webhook = tx.hook(webhook_id)
            check(webhook)
            drop_webhook(tx, self.services, webhook)

        await self.services.store.write(work)


def add_webhook(
    tx: Tx,
    services: OperationServices,
    project: Project,
    name: str,
    signature: Signature | None = None,
) -> WebhookView:
    """Add a URL of `project` and return it. Raises ConflictError."""
    secret = str(uuid.uuid4())
    webhook = ProjectWebhook(
        id=new_id(),
        project_id=project.id,
        name=name,
        # The secret itself is not stored: the URL is shown once.
        secret_hash=hash_secret(secret),
        signature=signature,
        created_at=services.clock(),
    )
    _check_name(tx, webhook)
    tx.add_hook(webhook)
    subject, changes = webhook_subject(project, webhook), changes_between(None, webhook)
    services.record(tx, AuditAction.WEBHOOK_CREATE, subject, changes)
    return WebhookView(webhook, project, services.webhook_url(secret))


def drop_webhook(tx: Tx, services: OperationServices, webhook: ProjectWebhook) -> None:
    """Delete a URL: it is unknown from the next call on."""
    tx.delete_hook(webhook.id)
    subject = webhook_subject(tx.project(webhook.project_id), webhook)
    services.record(tx, AuditAction.WEBHOOK_DELETE, subject, changes_between(webhook, None))


def _check_name(reader: Reader, webhook: ProjectWebhook) -> None:
    """Raise ConflictError where another webhook of the project has the name."""
    if any(
        other.name == webhook.name and other.id != webhook.id
        for other in reader.hooks(webhook.project_id)
    ):
        raise ConflictError(f"the project has a webhook named {webhook.name} already")
