"""Deliveries as they are on disk, whatever a store that is open remembers."""

from pathlib import Path
from typing import Any

import msgspec

from tagboat.store.cipher import Cipher
from tagboat.store.database import open_database
from tagboat.store.reader import SqlReader
from tagboat.store.rows import SealedRows


def deliveries_on_disk(data_dir: Path) -> list[tuple[int, str, dict[str, Any]]]:
    """Status, sender and answer of every delivery in the SQLite file, oldest first."""
    engine = open_database(None, data_dir)
    try:
        with engine.connect() as connection:
            found = SqlReader(connection, SealedRows(Cipher(bytes(32)))).deliveries()
    finally:
        engine.dispose()
    answers = []
    for one in reversed(found):
        answer = msgspec.json.decode(msgspec.json.encode(one.receipt))
        if one.status != 202:
            answer = {name: answer[name] for name in ("reason", "needs_you") if name in answer}
        answers.append((one.status, one.sender, answer))
    return answers
