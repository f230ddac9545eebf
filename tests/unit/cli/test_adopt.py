"""`tagboat adopt`: it shows the plan first, and asks where the app would be down."""

from typing import Any

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer

PLAN: dict[str, Any] = {
    "dry_run": True,
    "container": "web",
    "container_id": "c" * 64,
    "tag": "v1",
    "digest": "sha256:" + "a" * 64,
    "project": {
        "id": None,
        "name": "shop",
        "image": "git.example.com/acme/shop",
        "port": 8080,
        "healthcheck": "",
        "created": True,
    },
    "stage": {
        "id": None,
        "name": "prod",
        "tag_pattern": "v1",
        "domains": ["shop.test"],
        "env": {"A": "b"},
        "options": {"secrets": ["TOKEN"], "memory": 64, "volumes": {"data": "/data"}},
        "volumes": {"/data": "shop_data"},
    },
    "endpoint": "127.0.0.1:80",
    "strategy": "recreate",
    "seamless": False,
    "first_deploy": ["It is down for a while."],
    "dangers": ["it is privileged"],
    "remarks": ["its labels differ"],
}


def bodies(server: FakeServer) -> list[Any]:
    return [asked.body for asked in server.asked if asked.call == "POST /api/adopt"]


def test_the_plan_is_shown_and_the_person_asked(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/adopt"] = PLAN
    done = tagboat("adopt", "web")
    assert done.returncode == 1
    for part in ("shop_data at /data", "env: A=b", "secrets: TOKEN", "It is down for a while."):
        assert part in done.stdout
    for part in ("note: its labels differ", "needs --force: it is privileged", "use --force"):
        assert part in done.stderr
    # Nobody is asked for what is refused in any case.
    assert "--yes" not in done.stderr
    assert bodies(server) == [{"container": "web", "force": False, "dry_run": True}]


def test_an_interruption_is_confirmed(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/adopt"] = PLAN | {"dangers": []}
    for words in (("adopt", "web"), ("adopt", "web", "--json")):
        done = tagboat(*words)
        assert (done.returncode, "confirm with --yes" in done.stderr) == (1, True)
    assert all(body["dry_run"] for body in bodies(server))


def test_the_container_that_was_shown_is_taken(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/adopt"] = PLAN
    words = ("--yes", "--force", "--project", "shop", "--stage", "prod", "--pattern", "v*")
    done = tagboat("adopt", "web", *words, "--port", "80")
    assert done.returncode == 0, done.stderr
    assert "tagboat deploy shop prod v1 --wait" in done.stdout
    wish = {"force": True, "project": "shop", "stage": "prod", "pattern": "v*", "port": 80}
    assert bodies(server) == [
        {"container": "web", "dry_run": True, **wish},
        {"container": "c" * 64, **wish},
    ]


def test_a_dry_run_asks_nothing(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["POST /api/adopt"] = PLAN
    done = tagboat("adopt", "web", "--dry-run", "--json")
    assert (done.returncode, '"seamless": false' in done.stdout) == (0, True)
    assert len(bodies(server)) == 1
