import asyncio
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from sqlalchemy import select, update

from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.errors import StoreUnavailableError
from tagboat.first_start import START_PATIENCE_S, patiently, prepare
from tagboat.settings import load_settings
from tagboat.store import is_prepared, open_store, tables
from tagboat.store.database import DATABASE_FILE, open_database
from tagboat.webhook import regenerate_webhook_secret

pytestmark = pytest.mark.anyio
PROGRAM = """
import sys
from pathlib import Path
from tagboat.first_start import prepare
from tagboat.settings import load_settings

folder = Path(sys.argv[1])
prepare(load_settings({"TAGBOAT_DATA_DIR": sys.argv[1]}, cwd=folder, is_tty=False))
print(*sys.modules)
"""


def run_prepare(folder: Path) -> set[str]:
    """Prepare in a process without threads; return the modules that it has loaded then."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_the_first_start_keeps_nothing_that_only_it_needs(tmp_path: Path) -> None:
    assert not is_prepared(None, tmp_path)
    assert "cryptography" not in run_prepare(tmp_path)
    assert is_prepared(None, tmp_path)
    database = (tmp_path / DATABASE_FILE).read_bytes()
    settings = load_settings({"TAGBOAT_DATA_DIR": str(tmp_path)}, cwd=tmp_path, is_tty=False)
    # Nothing is left to be done, so that no process is forked from this one, which has threads.
    prepare(settings)
    assert (tmp_path / DATABASE_FILE).read_bytes() == database


def test_a_failure_is_left_to_the_start_to_report(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_text("not a database")
    run_prepare(tmp_path)
    assert not is_prepared(None, tmp_path)


async def test_a_secret_of_an_earlier_release_gets_its_hash(tmp_path: Path) -> None:
    store = open_store(None, tmp_path)
    secret = await regenerate_webhook_secret(store)
    store.close()
    settings, engine = tables.settings_table, open_database(None, tmp_path)
    wanted = settings.c.name == WEBHOOK_SECRET
    with engine.begin() as connection:
        value = connection.execute(select(settings.c.value).where(wanted)).scalar_one()
        assert value.pop("hash")
        connection.execute(update(settings).where(wanted).values(value=value))
    assert not is_prepared(None, tmp_path)
    store = open_store(None, tmp_path)
    assert is_prepared(None, tmp_path)
    found = await store.read(lambda reader: reader.webhook_secret_hash())
    assert found is not None
    assert found.matches(secret)
    assert not found.matches(secret.upper())
    # One written by such a server while this one runs is accepted, too.
    with engine.begin() as connection:
        connection.execute(update(settings).where(wanted).values(value=value))
    assert await store.read(lambda reader: reader.webhook_secret_hash()) == found
    store.close()
    engine.dispose()


async def test_a_start_tries_again_while_other_servers_hold_the_database_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, calls = 0.0, 0

    async def pass_by(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    async def fail(times: int) -> str:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise StoreUnavailableError("the database did not answer")
        return "done"

    monkeypatch.setattr(asyncio, "sleep", pass_by)
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: now_s)
    shared, alone = Mock(exclusive=False), Mock(exclusive=True)
    assert await patiently(shared, lambda: fail(3)) == "done"
    calls = 0
    with pytest.raises(StoreUnavailableError):
        await patiently(alone, lambda: fail(3))
    assert calls == 1
    with pytest.raises(StoreUnavailableError):
        await patiently(shared, lambda: fail(10_000))
    assert now_s >= START_PATIENCE_S
