"""Instances of before have a history, as far as it is on record."""

from pathlib import Path

import pytest

from tagboat.store import open_store
from tagboat.store.database import open_database
from tests.migration.test_upgrade_0002 import tables_of, upgrade_to
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio
MINUTE = 60_000_000
STATES = ("stopped", "failed", "draining", "live", "starting")
IMAGE = "git.example.com/acme/app"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_served_before_was_live_since_its_start(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None
    if kind == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    engine = open_database(url, tmp_path)
    upgrade_to(engine, "0018")
    tables = tables_of(engine).tables
    key = {"project_id": "p", "stage_id": "s"}
    with engine.begin() as connection:
        for name, row in {
            "projects": {
                "id": "p",
                "name": "app",
                "image": IMAGE,
                "port": 0,
                "healthcheck": "",
                "env": "{}",
                "inspected": True,
                "created_at": 0,
            },
            "stages": {
                "id": "s",
                "project_id": "p",
                "name": "dev",
                "pattern": "*",
                "position": 0,
                "auto_deploy": True,
                "max_instances": 1,
                "env": "{}",
                "domains": "[]",
                "health_timeout_s": 60,
                "drain_timeout_s": 30,
                "held": False,
                "created_at": 0,
            },
        }.items():
            connection.execute(tables[name].insert().values(row))
        for number, state in enumerate(STATES):
            deploy = {"id": f"d{number}", **key, "tag": f"v{number}", "trigger": "manual"}
            more = {"status": "succeeded", "force": False, "steps": "[]", "log": "", "merges": 0}
            connection.execute(
                tables["deploys"].insert().values({**deploy, **more, "created_at": 0})
            )
            instance = {"id": f"i{number}", "deploy_id": f"d{number}", **key, "tag": f"v{number}"}
            more = {"digest": "sha256:" + "a" * 64, "state": state, "container": "c"}
            rest = {"host_port": number, "fingerprint": "f", "started_at": number * MINUTE}
            connection.execute(tables["instances"].insert().values({**instance, **more, **rest}))
    engine.dispose()
    store = open_store(url, tmp_path)
    try:
        lived = await store.read(lambda reader: reader.instances_that_lived("s"))
        assert [one.state.value for one in lived] == ["live", "draining", "stopped"]
        assert all(one.live_at == one.started_at for one in lived)
        # Instances of before are reached at their port of the loopback address.
        assert [[str(at) for at in one.endpoints] for one in lived] == [
            ["127.0.0.1:3"],
            ["127.0.0.1:2"],
            [],
        ]
        assert {(one.left_at, one.left_for) for one in lived} == {(None, "")}
        assert {one.note for one in await store.read(lambda reader: reader.deploys())} == {""}
    finally:
        store.close()
