"""One consistent view of the database: the `Reader` of the ports, which is the sum of its parts."""

from sqlalchemy import Connection

from tagboat.store.accounts import AccountReads
from tagboat.store.audit import AuditReads
from tagboat.store.deliveries import DeliveryReads
from tagboat.store.edges import EdgeReads
from tagboat.store.events import EventReads
from tagboat.store.heard import HeardReads
from tagboat.store.identities import IdentityReads
from tagboat.store.instances import InstanceReads
from tagboat.store.matrix import MatrixReads
from tagboat.store.one_offs import OneOffReads
from tagboat.store.pages import PageReads
from tagboat.store.polls import PollReads
from tagboat.store.read_model import ReadModelReads
from tagboat.store.receipts import ReceiptReads
from tagboat.store.retention import RetentionReads
from tagboat.store.rows import SealedRows
from tagboat.store.session import ReadSession
from tagboat.store.settings import SettingReads


class SqlReader(
    ReadModelReads,
    PageReads,
    MatrixReads,
    ReceiptReads,
    InstanceReads,
    RetentionReads,
    OneOffReads,
    PollReads,
    DeliveryReads,
    HeardReads,
    SettingReads,
    AccountReads,
    IdentityReads,
    EdgeReads,
    EventReads,
    AuditReads,
):
    """Reads through one connection, inside whatever transaction that is in."""

    def __init__(self, connection: Connection, rows: SealedRows) -> None:
        self._session = ReadSession(connection)
        self._rows = rows
