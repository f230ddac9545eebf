"""SQLite's file is deleted or replaced under the server: nothing is taken in that would be lost
with it.
"""

from pathlib import Path

import pytest

from tagboat.core.errors import StoreUnavailableError
from tagboat.store import open_store

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_taken_away_is_no_database_until_it_is_back(
    tmp_path: Path, *, replaced: bool
) -> None:
    store = open_store(None, tmp_path)
    file, away = tmp_path / "tagboat.db", tmp_path / "away"
    try:
        await store.write(lambda tx: tx.put_setting("a", 1))
        assert await store.read(lambda reader: reader.setting("a")) == 1
        file.rename(away)
        if replaced:
            file.write_bytes(b"")

        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await store.write(lambda tx: tx.put_setting("a", 2))
            with pytest.raises(StoreUnavailableError):
                await store.read(lambda reader: reader.setting("a"))
        assert file.exists() is replaced, "none is made in its place"
        if not replaced:
            away.rename(file)
            assert await store.write(lambda tx: tx.setting("a")) == 1
            assert await store.read(lambda reader: reader.setting("a")) == 1
    finally:
        store.close()
