"""A unit of work: the `Tx` of the ports, which is the sum of its parts."""

from sqlalchemy import Connection

from tagboat.core.deploy import DeployStatus
from tagboat.core.store_port import Topic
from tagboat.store.accounts import AccountWrites
from tagboat.store.audit import AuditWrites
from tagboat.store.catalog import CatalogWrites
from tagboat.store.deliveries import DeliveryWrites
from tagboat.store.deploys import DeployWrites
from tagboat.store.edges import EdgeWrites
from tagboat.store.events import EventWrites
from tagboat.store.heard import HeardWrites
from tagboat.store.identities import IdentityWrites
from tagboat.store.instances import InstanceWrites
from tagboat.store.memory import WriteMemory
from tagboat.store.one_offs import OneOffWrites
from tagboat.store.pages import PageReads
from tagboat.store.polls import PollWrites
from tagboat.store.read_model import ReadModelReads
from tagboat.store.receipts import ReceiptWrites
from tagboat.store.retention import RetentionWrites
from tagboat.store.rows import SealedRows
from tagboat.store.session import WriteSession
from tagboat.store.settings import SettingWrites


class UnitOfWork(
    CatalogWrites,
    DeployWrites,
    ReceiptWrites,
    InstanceWrites,
    RetentionWrites,
    OneOffWrites,
    PollWrites,
    DeliveryWrites,
    SettingWrites,
    AccountWrites,
    IdentityWrites,
    EdgeWrites,
    EventWrites,
    AuditWrites,
    HeardWrites,
    ReadModelReads,
    PageReads,
):
    """Reads and writes in one transaction. `flush` sends what waits; nothing is committed here."""

    def __init__(self, connection: Connection, rows: SealedRows, memory: WriteMemory) -> None:
        self._session = WriteSession(connection, memory)
        self._rows = rows

    @property
    def announced(self) -> set[Topic]:
        """Topics whose listeners are notified after the commit."""
        return self._session.announced

    @property
    def announced_elsewhere(self) -> set[Topic]:
        """Topics of which other servers are notified besides."""
        return self._session.announced_elsewhere

    @property
    def ended(self) -> list[tuple[str, DeployStatus]]:
        """Stages of the deploys that have come to an end in this transaction, and how."""
        return self._session.ended

    def announce(self, topic: Topic) -> None:
        """Notify those who listen to `topic`, once committed."""
        self._session.announce(topic)

    def flush(self) -> None:
        """Send everything that waits to the database."""
        self._session.flush()
