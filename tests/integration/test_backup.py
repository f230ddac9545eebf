"""The backup in docs/installing.md, taken of a database in use."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.ids import new_id
from tagboat.store import open_store

pytestmark = pytest.mark.anyio
INSTALLING = Path(__file__).parents[2] / "docs" / "installing.md"


async def test_it_can_be_restored_with_its_secrets(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    for directory in (data, backup):
        directory.mkdir()
    store = open_store(None, data)
    registry = Registry(
        id=new_id(),
        name="forge",
        url="https://git.example.com",
        kind=RegistryKind.OCI,
        password="hunter2",
    )
    await store.write(lambda tx: tx.add_registry(registry))

    command = re.search(r'sqlite3 (\S+) "(VACUUM [^"]+)" && cp (\S+) ', INSTALLING.read_text())
    assert command is not None
    with sqlite3.connect(data / command[1]) as connection:
        connection.execute(command[2].replace("/backup/", f"{backup}/"))
    connection.close()
    shutil.copy(data / command[3], backup)
    store.close()

    restored = open_store(None, backup)
    assert await restored.read(lambda reader: reader.registry(registry.id)) == registry
    restored.close()
