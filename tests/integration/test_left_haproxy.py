"""A HAProxy that runs from before, and an ingress that there is to be no more."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat import ingress_choice
from tagboat.cli.context import CommandContext
from tagboat.cli.doctor import find_problems
from tagboat.ingress.haproxy import HaproxyIngress
from tagboat.ingress.none import NoIngress
from tagboat.ingress.process import end_haproxy, our_processes
from tagboat.settings import load_settings
from tests.support.ports import free_port
from tests.support.server import running_server


@pytest.fixture
async def left(tmp_path: Path, anyio_backend: str) -> Iterator[Path]:  # type: ignore[misc] # noqa: ARG001 - it runs this
    """The data directory of a server whose HAProxy runs."""
    directory = tmp_path / "data" / "ingress"
    directory.parent.mkdir(mode=0o700)
    await HaproxyIngress(
        directory, listen=("127.0.0.1", free_port()), base_domain="apps.test"
    ).start()
    assert our_processes(directory)
    yield directory
    end_haproxy(directory)


@pytest.mark.anyio
async def test_it_is_ended_where_somebody_wants_no_ingress(
    left: Path, tmp_path: Path, engine_url: str
) -> None:
    with running_server(tmp_path, engine_url, TAGBOAT_INGRESS="none") as server:
        assert our_processes(left) == []
        assert "HAProxy ended" in server.log()


@pytest.mark.anyio
async def test_it_is_told_of_where_haproxy_was_taken_away(
    left: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then everything may still go through it."""
    ingress_choice.leave_haproxy(left, wanted=False)
    assert "HAProxy still runs, but its routes are not updated" in capsys.readouterr().out
    assert our_processes(left)


@pytest.mark.anyio
async def test_doctor_tells_of_it(left: Path, tmp_path: Path) -> None:
    environ = {
        "TAGBOAT_DATA_DIR": str(left.parent),
        "TAGBOAT_INGRESS": "none",
        "PATH": os.environ["PATH"],
    }
    context = CommandContext(environ, tmp_path, is_tty=False)
    found = {finding.check: finding for finding in find_problems(context)}["HAProxy from before"]
    assert not found.ok
    assert "still runs with the routes of before" in found.detail


def test_that_haproxy_is_missing_is_said_loudly_at_the_start_and_kept_for_health(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    environ = {
        "TAGBOAT_DATA_DIR": str(tmp_path),
        "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{free_port()}",
    }
    ingress = ingress_choice.choose_ingress(load_settings(environ, cwd=tmp_path, is_tty=False))
    assert isinstance(ingress, NoIngress)
    assert "HAProxy is not installed" in ingress.why
    assert "[warning" in (said := capsys.readouterr().out)
    assert "sudo apt install haproxy" in said
    chosen = ingress_choice.choose_ingress(
        load_settings({**environ, "TAGBOAT_INGRESS": "none"}, cwd=tmp_path, is_tty=False)
    )
    assert isinstance(chosen, NoIngress)
    assert (chosen.why, capsys.readouterr().out) == ("", "")
