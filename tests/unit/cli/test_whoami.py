"""`tagboat whoami`."""

import json

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer


def test_it_names_the_caller_the_role_and_the_server(quick: Tagboat, server: FakeServer) -> None:
    assert quick("whoami").stdout == f"ci at {server.url}, with the role viewer\n"
    limited = {"kind": "token", "id": "t1", "name": "ci", "role": "deployer"}
    server.answers["GET /api/me"] = limited | {"projects": [{"id": "p1", "name": "app"}]}
    assert quick("whoami").stdout.endswith("with the role deployer, for the projects app\n")
    assert json.loads(quick("whoami", "--json").stdout)["name"] == "ci"
