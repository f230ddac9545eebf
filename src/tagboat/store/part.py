"""A part of the store: what all of them have."""

from tagboat.store.rows import SealedRows
from tagboat.store.session import ReadSession


class ReadPart:
    """Reads through a session, and opens what is sealed."""

    _session: ReadSession
    _rows: SealedRows
