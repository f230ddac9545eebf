"""The command line against a real server, whose engine is in memory."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from bench.rig import tagboat
from tests.support.fake_registry import fake_registry
from tests.support.forks import commands
from tests.support.server import PROGRAM

pytestmark = pytest.mark.anyio


async def start(environ: Mapping[str, str], *words: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *PROGRAM, *words, env=environ, stdout=PIPE, stderr=PIPE
    )


async def cli(environ: Mapping[str, str], *words: str) -> tuple[int | None, str, str]:
    run = partial(commands().run, ("tagboat", *words), environ, Path.cwd())
    done = await asyncio.to_thread(run)
    return done.returncode, done.stdout, done.stderr


async def test_a_deploy_is_followed_by_events_and_cancelled_with_its_stage(tmp_path: Path) -> None:
    async with fake_registry() as registry:
        registry.add_image("acme/app", "v1", {"os": "linux", "architecture": "amd64"})
        with tagboat(tmp_path / "data", in_memory=True, BENCH_PULLS_GO_ON="1"):
            environ = {name: value for name, value in os.environ.items() if "TAGBOAT" not in name}
            environ |= {"TAGBOAT_DATA_DIR": str(tmp_path / "data")}
            create = ("projects", "create", f"{registry.host}/acme/app", "--port", "8080")
            assert (await cli(environ, *create))[0] == 0

            missing = await cli(environ, "deploy", "app", "dev", "v9", "--wait")
            assert (missing[0], "resolve failed" in missing[2]) == (1, True), missing

            waiting = await start(environ, "deploy", "app", "dev", "v1", "--wait")
            assert waiting.stderr is not None
            while not (await waiting.stderr.readline()).startswith(b"resolve done"):
                assert waiting.returncode is None
            assert (await cli(environ, "cancel", "app", "dev"))[0] == 0
            _, err = await asyncio.wait_for(waiting.communicate(), 60)
            assert (waiting.returncode, b"app dev was cancelled" in err) == (1, True), err

            code, out, err_of_status = await cli(environ, "status")
            assert (code, "v1 cancelled" in out) == (0, True), err_of_status
            assert (await cli(environ, "cancel", "app", "dev"))[0] == 1
    calls = (tmp_path / "data.log").read_text()
    assert calls.count('"path":"/api/events"') == 2


async def test_variables_and_secrets_are_changed_by_name_by_several_at_once(
    tmp_path: Path,
) -> None:
    with tagboat(tmp_path / "data", in_memory=True):
        environ = {name: value for name, value in os.environ.items() if "TAGBOAT" not in name}
        environ |= {"TAGBOAT_DATA_DIR": str(tmp_path / "data")}

        async def done(*words: str, piped: str = "") -> str:
            process = await asyncio.create_subprocess_exec(
                *PROGRAM, *words, env=environ, stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
            out, err = await asyncio.wait_for(process.communicate(piped.encode()), 60)
            assert process.returncode == 0, (words, err)
            return out.decode()

        await done("projects", "create", "git.example.com/acme/app", "--port", "8080")
        await asyncio.gather(
            *(done("env", "set", "app", "dev", f"NAME_{number}={number}") for number in range(4)),
            done("env", "set", "app", "LOG_LEVEL=info", "ODD NAME.ü=a=b", "EMPTY="),
            done("secrets", "set", "app", "dev", "KEY", piped="hush\n"),
        )
        found = json.loads(await done("env", "list", "app", "dev", "--json"))
        assert {one["name"]: (one["value"], one["from"]) for one in found} == {
            **{f"NAME_{number}": (str(number), "stage") for number in range(4)},
            "LOG_LEVEL": ("info", "project"),
            "ODD NAME.ü": ("a=b", "project"),
            "EMPTY": ("", "project"),
        }
        await done("env", "unset", "app", "dev", "NAME_0", "NAME_1")
        names = json.loads(await done("env", "list", "app", "dev", "--json"))
        assert [one["name"] for one in names if one["from"] == "stage"] == ["NAME_2", "NAME_3"]
        assert "KEY   stage  variable" in await done("secrets", "list", "app", "dev")

        for words, said in (
            (("env", "set", "app", "dev", "KEY=1"), "secrets: KEY is a secret of the stage dev"),
            (("env", "set", "app", "dev", f"A={'x' * 40_000}"), "env.A: "),
        ):
            code, _, err = await cli(environ, *words)
            assert (code, said in err) == (1, True), err
    assert "hush" not in (tmp_path / "data.log").read_text()
