"""`tagboat apply`, when it takes long."""

from collections.abc import Mapping
from threading import Event
from typing import Any

import pytest

from tagboat.cli import waiting
from tagboat.cli.client import ApiObject, Client
from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer, problem

APPLIED: dict[str, object] = {"changes": [], "failures": [], "volumes": []}
YAML = "projects: {}\n"


def test_a_long_apply_says_that_it_goes_on(
    quick: Tagboat, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    hinted = Event()

    def note(text: str) -> None:
        said.append(text)
        hinted.set()

    monkeypatch.setattr(waiting, "FIRST_HINT_AFTER_S", 0.0)
    monkeypatch.setattr("tagboat.cli.show.progress", note)
    server.answers["POST /api/config/apply"] = lambda *_: (
        APPLIED if hinted.wait(60) else problem(500, "no hint")
    )
    done = quick("apply", "-", "--prune", piped=YAML)
    assert (done.returncode, done.stdout) == (0, "nothing is changed\n")
    assert said[0].startswith("still applying: what is deleted is stopped first")


def test_an_apply_has_ten_minutes_and_a_plan_two(
    quick: Tagboat, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {}

    def post(
        _: Client, path: str, _body: Mapping[str, Any] | None = None, *, timeout_s: float = 0
    ) -> ApiObject:
        limits[path] = timeout_s
        return ApiObject(APPLIED)

    monkeypatch.setattr(Client, "post", post)
    quick("apply", "-", piped=YAML)
    quick("diff", "-", piped=YAML)
    assert limits == {"/api/config/apply": 600.0, "/api/config/plan": 120.0}


def test_ctrl_c_says_that_the_server_goes_on(
    quick: Tagboat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> ApiObject:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "post", interrupted)
    (quick.directory / "all.yaml").write_text(YAML)
    done = quick("apply", "all.yaml")
    said = "\nthe server goes on; this shows what is left to change: tagboat diff all.yaml\n"
    assert (done.returncode, said in done.stderr) == (130, True)


@pytest.mark.parametrize(
    ("name", "command"), [("ci", "123 ci"), ("a b", "123 'a b'"), ("- x", "-- 123 '- x'")]
)
def test_the_hint_after_an_apply_can_be_copied(
    tagboat: Tagboat, server: FakeServer, name: str, command: str
) -> None:
    change = {"kind": "webhook", "action": "create", "name": f"123 {name}", "fields": []}
    server.answers["POST /api/config/apply"] = {**APPLIED, "changes": [change]}
    done = tagboat("apply", "-", piped=YAML)
    assert done.returncode == 0, done.stderr
    assert f": tagboat webhook rotate {command}\n" in done.stderr
