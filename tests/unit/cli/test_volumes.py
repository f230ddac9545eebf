"""`tagboat volumes`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import VOLUME, FakeServer


def test_volumes_say_whose_they_are(quick: Tagboat, server: FakeServer) -> None:
    gone = {"name": "tagboat-s0-data", "bytes": None, "project": None, "stage": None}
    taken = {"images": 0, "images_bytes": 0, "volumes": [VOLUME, gone]}
    server.answers["GET /api/disk"] = {"disks": [], "taken": taken}
    for word in ([], ["list"], ["ls"]):
        rows = [row.split() for row in quick("volumes", *word).stdout.splitlines()[2:]]
        assert rows == [
            ["app", "dev", "3", "MiB", "tagboat-s1-data"],
            ["(deleted)", "-", "-", "tagboat-s0-data"],
        ]
    assert server.asked[-1].query == {"usage": "true"}
    assert json.loads(quick("volumes", "--json").stdout) == [VOLUME, gone]
    taken["volumes"] = []
    assert quick("volumes").stdout == "No stage has a volume.\n"


def test_those_on_nodes_of_a_swarm_have_their_node(quick: Tagboat, server: FakeServer) -> None:
    there = VOLUME | {"name": "tagboat-s2-data", "bytes": None, "node": "n1"}
    taken = {"images": 0, "images_bytes": 0, "volumes": [VOLUME, there]}
    server.answers["GET /api/disk"] = {"disks": [], "taken": taken}
    rows = [row.split() for row in quick("volumes").stdout.splitlines()]
    assert rows[0][-1] == "node"
    assert rows[2:] == [
        ["app", "dev", "3", "MiB", "tagboat-s1-data", "-"],
        ["app", "dev", "-", "tagboat-s2-data", "n1"],
    ]
