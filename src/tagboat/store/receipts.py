"""Receipts of deploys, as the ledgers from which they are made."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Column, ForeignKey, String, Table

from tagboat.core.events import receipt_change
from tagboat.core.receipt import ReceiptLedger
from tagboat.store.columns import Coded, to_json
from tagboat.store.deploys import DeployReads
from tagboat.store.session import WriteSession
from tagboat.store.statements import where_among
from tagboat.store.tables import metadata

receipts_table = Table(
    "receipts",
    metadata,
    Column("deploy_id", String, ForeignKey("deploys.id", ondelete="CASCADE"), primary_key=True),
    Column("ledger", Coded(to_json, msgspec.json.Decoder(ReceiptLedger).decode), nullable=False),
)


class ReceiptReads(DeployReads):
    """Implements what `DeployReader` has of receipts."""

    def receipt_ledgers(self, deploy_ids: Collection[str]) -> dict[str, ReceiptLedger]:
        """Return the ledgers of these deploys by id; those that never reached `start` have none."""
        query = where_among(receipts_table.c.deploy_id, self._session.dialect)
        found = self._session.rows(query, {"keys": list(deploy_ids)})
        return {row["deploy_id"]: row["ledger"] for row in found}


class ReceiptWrites(ReceiptReads):
    """Implements what `DeployWriter` has of receipts."""

    _session: WriteSession

    def put_receipt_ledger(self, deploy_id: str, ledger: ReceiptLedger) -> None:
        """Record the ledger of a deploy, and tell of its receipt once it has one."""
        self._session.upsert(receipts_table, {"deploy_id": deploy_id, "ledger": ledger})
        if (receipt := ledger.receipt) is not None:
            self._session.record(receipt_change(self.deploy(deploy_id), receipt))
