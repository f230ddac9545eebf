"""What the API says of the disks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tagboat.core.config import INSTALLATION_ID
from tagboat.core.image import Digest, ImageName
from tagboat.core.keeping import Disk, DiskUsage, ImageSize, Volume
from tagboat.core.storage import volume_name
from tagboat.disks import look_at_disks
from tagboat.runtime.memory import MemoryRuntime
from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio
OURS, THEIRS = ImageName("git.example.com", "acme/app"), ImageName("docker.io", "library/redis")
ONE = Digest("sha256:" + "1" * 64)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def test_how_much_room_there_is(api: Api, tmp_path: Path) -> None:
    assert (await api.caller.get("/api/disk")).json == {
        "disks": [
            {
                "name": "data",
                "path": str(tmp_path),
                "free_bytes": 5 << 30,
                "total_bytes": 10 << 30,
                "low": False,
            },
            {
                "name": "engine",
                "path": "/var/lib/docker",
                "free_bytes": 1 << 20,
                "total_bytes": 10 << 30,
                "low": True,
            },
        ],
        "taken": None,
    }


async def test_what_is_ours_of_all_that_is_taken(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    project = (await api.caller.post("/api/projects", {"name": "app", "image": str(OURS)})).json
    stage = (
        await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    await api.store.write(lambda tx: tx.put_setting(INSTALLATION_ID, "here"))
    await api.store.write(lambda tx: tx.note_pull(OURS, ONE, datetime.now(UTC)))
    of_stage, left, foreign = (
        volume_name(one, "data") for one in (stage["id"], "0" * 24, "1" * 24)
    )
    usage = DiskUsage(
        images=(
            ImageSize(frozenset({f"{OURS}@{ONE}"}), 70),
            ImageSize(frozenset({f"{THEIRS}@{ONE}"}), 50),
        ),
        volumes=(
            Volume(of_stage, 5),
            Volume(left, None, {"tagboat.installation": "here"}),
            Volume(foreign, 7, {"tagboat.installation": "there"}),
            Volume(
                volume_name("2" * 24, "data"), 8
            ),  # of another Tagboat, maybe, from before volumes had labels
            Volume("pgdata", 9),
        ),
        layers=100,
    )

    async def disk_usage() -> DiskUsage:
        return usage

    monkeypatch.setattr(api.engine, "disk_usage", disk_usage)
    assert (await api.caller.get("/api/disk?usage=true")).json["taken"] == {
        "images": 1,
        "images_bytes": 70,
        "volumes": [
            {"name": of_stage, "bytes": 5, "project": "app", "stage": "dev", "node": None},
            {"name": left, "bytes": None, "project": None, "stage": None, "node": None},
        ],
    }


async def test_volumes_on_nodes_of_a_swarm_are_those_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nodes do not report them."""

    async def nothing() -> DiskUsage:
        return DiskUsage()

    with running_api(tmp_path) as api:
        monkeypatch.setattr(api.engine, "disk_usage", nothing)
        api.engine.is_cluster = True
        body = {"name": "app", "image": "git.example.com/acme/app"}
        project = (await api.caller.post("/api/projects", body)).json
        stage = {"volumes": {"data": "/data"}, "constraints": ["node.hostname==n1"]}
        made = await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*", **stage}
        )
        taken = (await api.caller.get("/api/disk?usage=true")).json["taken"]
        name = volume_name(made.json["id"], "data")
        assert taken["volumes"] == [
            {"name": name, "bytes": None, "project": "app", "stage": "dev", "node": "n1"}
        ]


async def test_disks_are_looked_at_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = MemoryRuntime()
    (data,) = await look_at_disks(tmp_path, engine, is_local=True)  # its directory is nowhere
    assert (data.name, data.path) == ("data", str(tmp_path))
    assert 0 < data.free <= data.total
    assert [disk.name for disk in await look_at_disks(tmp_path, engine, is_local=False)] == ["data"]

    async def root_dir() -> str:
        return str(tmp_path)

    monkeypatch.setattr(engine, "root_dir", root_dir)
    assert [disk.name for disk in await look_at_disks(tmp_path, engine, is_local=True)] == [
        "data",
        "engine",
    ]


def test_less_than_a_gibibyte_is_low() -> None:
    assert [Disk("data", "/", free, 1 << 40).low for free in ((1 << 30) - 1, 1 << 30)] == [
        True,
        False,
    ]
