"""Changing the encryption key: everything can be read afterwards, whatever it was cut off by,
and by the new key alone.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from tagboat.core.audit import AuditFilter
from tagboat.core.config import WEBHOOK_SECRET
from tagboat.core.errors import SettingsError
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader, Tx
from tagboat.core.project_webhook import ProjectWebhook, Signature, SignatureKind, hash_secret
from tagboat.core.run import NO_OPTIONS
from tagboat.core.values import replace
from tagboat.store import SqlStore, open_store, rotate_encryption_key, tables
from tagboat.store.database import open_database
from tests.contract.test_store import (
    CONFIG,
    NOW,
    OPTIONS,
    a_deploy,
    a_project,
    a_registry,
    a_stage,
    add,
)
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
SIGNATURE = Signature(kind=SignatureKind.HMAC_SHA256, secret="shared-needle")
SECRET = "0f0e4b5c-9a57-4c7a-8f4e-needle000000"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


async def fill(store: SqlStore) -> Callable[[Reader], list[object]]:
    """Put something sealed in every place; what reads all of it."""
    project = a_project(run=OPTIONS)
    stage, registry = a_stage(project, run=OPTIONS), a_registry(password="pass-needle")
    deploys = [a_deploy(stage, f"v{number}") for number in range(3)]
    hook = ProjectWebhook(
        id=new_id(),
        project_id=project.id,
        name="ci",
        secret_hash=hash_secret("uuid"),
        created_at=NOW,
    )
    await add(store, project, stage, registry, *deploys)
    await store.write(lambda tx: tx.add_hook(replace(hook, signature=SIGNATURE)))
    await store.write(lambda tx: tx.put_webhook_signature(SIGNATURE))
    await store.write(lambda tx: tx.put_setting(WEBHOOK_SECRET, SECRET))
    configs = (CONFIG, CONFIG, replace(CONFIG, env={}, options=NO_OPTIONS))

    def put_configs(tx: Tx) -> None:
        for deploy, config in zip(deploys, configs, strict=True):
            tx.put_deploy_config(deploy.id, config)

    await store.write(put_configs)

    def read(reader: Reader) -> list[object]:
        return [
            reader.project(project.id),
            reader.stage(stage.id),
            reader.registry(registry.id),
            reader.hook(hook.id),
            reader.webhook_signature(),
            reader.setting(WEBHOOK_SECRET),
            (found := reader.webhook_secret_hash()) and found.matches(SECRET),
            *(reader.deploy_config(deploy.id) for deploy in deploys),
        ]

    return read


def keys(data_dir: Path) -> list[str]:
    return sorted(file.name for file in data_dir.iterdir() if "key" in file.name)


async def test_all_can_be_read_after_it_and_by_the_new_key_alone(
    url: str | None, tmp_path: Path
) -> None:
    store = open_store(url, tmp_path)
    read = await fill(store)
    before, old_key = await store.read(read), (tmp_path / "encryption.key").read_text()
    store.close()

    assert rotate_encryption_key(url, tmp_path) >= 8

    assert keys(tmp_path) == ["encryption.key"]
    assert (tmp_path / "encryption.key").stat().st_mode & 0o777 == 0o600
    store = open_store(url, tmp_path)
    assert await store.read(read) == before
    (entry,) = await store.read(lambda reader: reader.audit_entries(AuditFilter(), None, 9))
    assert (entry.actor_kind, entry.action) == ("local", "server.rotate-key")
    assert entry.note.endswith(" secrets are encrypted with a new key")
    store.close()
    (tmp_path / "encryption.key").write_text(old_key)
    with pytest.raises(SettingsError, match="another encryption key"):
        open_store(url, tmp_path)


def all_bytes(data_dir: Path) -> bytes:
    return b"".join(file.read_bytes() for file in data_dir.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from tagboat.store import rotation

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

made, point = {"new": 0}, sys.argv[2]
if point == "before anything is sealed":
    rotation.reseal = die
elif point == "before the commit":
    rotation._set = die
elif point == "after the commit":
    fitting = rotation.fitting_key
    rotation.fitting_key = lambda where, known: die() if made["new"] else fitting(where, known)
    following = rotation.next_key
    rotation.next_key = lambda data_dir: (made.update(new=1), following(data_dir))[1]
rotation.rotate_encryption_key(sys.argv[3] or None, Path(sys.argv[1]))
"""


def killed(data_dir: Path, point: str, url: str | None) -> int:
    """Change the key in a process that dies at that point; how it ended."""
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(data_dir), point, url or ""], check=False
    ).returncode


@pytest.mark.parametrize(
    "point", ["before anything is sealed", "before the commit", "after the commit"]
)
async def test_a_death_in_the_middle_leaves_a_key_that_fits(
    url: str | None, tmp_path: Path, point: str
) -> None:
    store = open_store(url, tmp_path)
    read = await fill(store)
    before = await store.read(read)
    store.close()
    assert killed(tmp_path, point, url) == -signal.SIGKILL
    for again in (False, True):  # the next start, and another change of the key
        store = open_store(url, tmp_path)
        assert await store.read(read) == before
        store.close()
        assert keys(tmp_path) == ["encryption.key"]
        if not again:
            rotate_encryption_key(url, tmp_path)


def test_where_no_server_has_run_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no server has used the data directory"):
        rotate_encryption_key(None, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_the_secret_that_an_earlier_release_left_in_the_clear_is_sealed_at_the_start(
    url: str | None, tmp_path: Path
) -> None:
    open_store(url, tmp_path).close()
    engine = open_database(url, tmp_path)
    with engine.begin() as connection:
        connection.execute(tables.settings_table.insert().values(name=WEBHOOK_SECRET, value=SECRET))
    engine.dispose()

    store = open_store(url, tmp_path)
    assert await store.read(lambda reader: reader.setting(WEBHOOK_SECRET)) == SECRET
    store.close()
    engine = open_database(url, tmp_path)
    with engine.connect() as connection:
        assert SECRET not in str(connection.execute(tables.settings_table.select()).all())
    engine.dispose()
    if url is None:
        assert SECRET.encode() not in all_bytes(tmp_path)


async def test_a_secret_that_was_moved_to_another_place_is_refused(tmp_path: Path) -> None:
    store = open_store(None, tmp_path)
    await fill(store)
    store.close()
    engine = open_database(None, tmp_path)
    with engine.begin() as connection:
        settings = tables.settings_table
        connection.execute(
            update(settings)
            .where(settings.c.name == WEBHOOK_SECRET)
            .values(value={"sealed": "AAAA"})
        )
    engine.dispose()
    with pytest.raises(SettingsError, match=r"setting/webhook_secret"):
        rotate_encryption_key(None, tmp_path)
