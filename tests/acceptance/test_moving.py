"""A whole installation backed up, lost, restored elsewhere, and removed: on the real engine."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tagboat.ingress.process import end_haproxy, our_processes
from tests.acceptance.test_push_to_running import publish
from tests.acceptance.test_switching import asking, new_lane
from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import remove_images_of, remove_labelled
from tests.support.forks import servers
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.server import Server, fetch


@pytest.fixture
def machines(tmp_path: Path, engine_url: str) -> Iterator[tuple[Server, Server]]:
    """The machine that is lost, and the one that takes its place; neither server runs."""
    ingress = {
        "TAGBOAT_INGRESS": "haproxy",
        "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{free_port()}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    servers = [Server(tmp_path / name, engine_url, ingress) for name in ("old", "new")]
    for server in servers:
        server.directory.mkdir()
    yield servers[0], servers[1]
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.clear()
            server.kill()
        end_haproxy(server.directory / "data" / "ingress")


def docker(engine_url: str, *words: str) -> list[str]:
    done = subprocess.run(
        ["docker", "-H", engine_url, *words], capture_output=True, check=True, text=True
    )
    return done.stdout.split()


def test_every_live_stage_comes_up_elsewhere_and_nothing_is_left_at_the_end(
    machines: tuple[Server, Server], registry: DockerRegistry, engine_url: str, tmp_path: Path
) -> None:
    old, new = machines
    file, port = tmp_path / "backup.tar.gz", int(old.environ["TAGBOAT_INGRESS_LISTEN"][10:])
    old.start()
    lane = new_lane(old, port, registry.host, engine_url)
    lane.bring("v1")
    image = f"{registry.host}/acme/second-{uuid.uuid4().hex[:8]}"
    publish(image, "v7", body="second", volumes=["/data"])
    project = old.push(f"{image}:v7")["project"]
    (stage,) = old.items(f"/api/projects/{project['id']}/stages")
    deploy = old.call("POST", f"/api/stages/{stage['id']}/deploys", {"tag": "v7"})[1]
    assert old.ended(deploy["id"])["status"] == "succeeded"
    second = f"{project['name']}-dev.localhost"
    old.until(lambda: lane.ask(second) == (200, "second"), "the second app")
    installation = docker(
        engine_url,
        *("inspect", lane.containers()[0], "--format"),
        '{{index .Config.Labels "tagboat.installation"}}',
    )[0]

    with asking(lane):
        made = old.cli("backup", str(file), "--json")
        assert made.returncode == 0, made.stderr
        (outside,) = json.loads(made.stdout)["volumes"]
        assert (outside["project"], outside["path"]) == (project["name"], "/data")
        # Next to its original a copy must not run, however it got there.
        refused = new.cli("restore", str(file))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "would fight with it over the same containers" in refused.stderr
        assert old.terminate() == 0
        assert new.cli("restore", str(file)).returncode == 0
        old.start()
        copy = servers().run(("tagboat", "serve"), new.variables(), new.directory)
        assert (copy.returncode, copy.stdout) == (1, "")
        assert "would fight with it over the same containers" in copy.stderr
    old.kill()
    end_haproxy(old.directory / "data" / "ingress")
    remove_labelled(engine_url, f"tagboat.installation={installation}")
    remove_images_of(engine_url, registry.host)

    new.start()

    new.until(lambda: lane.ask() == (200, "v1"), "the first app to be there again")
    new.until(lambda: lane.ask(second) == (200, "second"), "the second app to be there again")
    assert {one["tag"] for one in new.live()} == {"v1", "v7"}

    assert outside["volume"] in new.cli("uninstall", "--dry-run").stdout
    assert "the server runs" in new.cli("uninstall", "--yes").stderr
    assert new.terminate() == 0
    assert lane.ask() == (200, "v1")
    done = new.cli("uninstall", "--yes", "--volumes")
    assert done.returncode == 0, done.stdout + done.stderr
    by_label = f"label=tagboat.installation={installation}"
    kinds = (["ps", "-a"], ["network", "ls"], ["volume", "ls"])
    assert [docker(engine_url, *kind, "-q", "--filter", by_label) for kind in kinds] == [[]] * 3
    assert not (new.directory / "data").exists()
    assert our_processes((new.directory / "data" / "ingress").resolve()) == []
    again = new.cli("uninstall", "--yes")
    assert (again.returncode, "Nothing to remove" in again.stdout) == (0, True)


def test_a_deploy_that_was_watched_as_the_backup_was_made_begins_again_elsewhere(
    machines: tuple[Server, Server], registry: DockerRegistry, engine_url: str, tmp_path: Path
) -> None:
    old, new = machines
    file, port = tmp_path / "backup.tar.gz", int(old.environ["TAGBOAT_INGRESS_LISTEN"][10:])
    old.start()
    lane = new_lane(old, port, registry.host, engine_url)
    lane.bring("v1")
    lane.change(watch_s=5)
    publish(lane.image, "v2", body="v2")
    deploy = lane.deploy("v2")["id"]
    old.until(lambda: lane.ask() == (200, "v2"), "the watch of the second version")
    assert old.cli("backup", str(file)).returncode == 0
    old.kill()
    end_haproxy(old.directory / "data" / "ingress")
    for container in lane.containers():
        docker(engine_url, "rm", "--force", container)
    assert new.cli("restore", str(file)).returncode == 0

    new.start()

    # The version that served before, and soon the one that was about to.
    new.until(lambda: lane.ask()[0] == 200, "an answer", 20)
    assert new.ended(deploy)["status"] == "succeeded"
    assert lane.ask() == (200, "v2")


@pytest.fixture
def pair(tmp_path: Path, engine_url: str, postgres: Postgres) -> Iterator[tuple[Server, Server]]:
    """Two running servers without an ingress, on one database."""
    database = {"TAGBOAT_DATABASE_URL": postgres.new_database()}
    servers = [Server(tmp_path / name, engine_url, database) for name in ("one", "two")]
    for server in servers:
        (server.directory / "data").mkdir(mode=0o700, parents=True)
    one, two = servers
    one.start()
    shutil.copy(one.directory / "data" / "encryption.key", two.directory / "data")
    two.start()
    yield one, two
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.clear()
            server.kill()


def test_a_server_is_not_removed_while_another_without_an_ingress_uses_its_database(
    pair: tuple[Server, Server], registry: DockerRegistry
) -> None:
    one, two = pair
    image = f"{registry.host}/acme/shared-{uuid.uuid4().hex[:8]}"
    publish(image, "v1", body="shared")
    assert one.ended(one.push(f"{image}:v1")["deploy"])["status"] == "succeeded"
    assert one.terminate() == 0

    for words in ((), ("--without-engine",)):
        refused = one.cli("uninstall", "--yes", *words)
        assert refused.returncode == 1, refused.stdout
        assert "others use the same database (server " in refused.stderr
    assert [fetch(instance["url"]) for instance in two.live()] == ["shared"]

    two.kill()
    assert "try again in" in one.cli("uninstall", "--yes").stderr
    with psycopg.connect(one.environ["TAGBOAT_DATABASE_URL"]) as connection:
        connection.execute("UPDATE leases SET until = until - 60000000")
    done = one.cli("uninstall", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (one.directory / "data").exists()


@pytest.mark.slow
def test_what_was_only_taken_over_comes_up_by_the_command_that_the_restore_names(
    machines: tuple[Server, Server], registry: DockerRegistry, engine_url: str, tmp_path: Path
) -> None:
    old, new = machines
    name, file = f"theirs-{uuid.uuid4().hex[:8]}", tmp_path / "backup.tar.gz"
    image = f"{registry.host}/acme/{name}"
    publish(image, "v1", body="adopted")
    old.start()
    port = f"127.0.0.1:{free_port()}:8080"
    docker(engine_url, "run", "-d", "--name", name, "-p", port, f"{image}:v1")
    try:
        adopted = old.cli("adopt", name, "--project", "shop")
        assert adopted.returncode == 0, adopted.stderr
        assert old.cli("backup", str(file)).returncode == 0
        (entry,) = old.items("/api/audit?action=server.backup")
        assert str(file) in entry["note"]
        assert old.terminate() == 0
        end_haproxy(old.directory / "data" / "ingress")
    finally:
        docker(engine_url, "rm", "-f", name)

    restored = new.cli("restore", str(file))

    command = "tagboat deploy shop prod v1 --wait"
    assert restored.stdout.splitlines()[-1].strip() == command
    assert "every other live stage" in restored.stdout
    new.start()
    deployed = new.cli(*command.split()[1:])
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    (live,) = new.live()
    assert (live["tag"], live["container"] != name) == ("v1", True)
    assert new.items("/api/audit?action=server.restore")
    new.clear()
    assert new.terminate() == 0
