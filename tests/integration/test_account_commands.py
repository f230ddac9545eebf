"""The first account, tokens and the login, on the command line against a real server."""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from bench.rig import tagboat
from tests.support.forks import commands

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"


async def cli(
    environ: Mapping[str, str], *words: str, piped: str = ""
) -> tuple[int | None, str, str]:
    run = partial(commands().run, ("tagboat", *words), environ, Path.cwd(), piped)
    done = await asyncio.to_thread(run)
    return done.returncode, done.stdout, done.stderr


def links(log: Path) -> list[str]:
    """Return the set-up links in a log of JSON lines, which are to stay readable as such."""
    said = [str(json.loads(line)["event"]) for line in log.read_text().splitlines()]
    return [found[0] for one in said if (found := re.search(r"http\S+/setup/\S+", one))]


async def test_the_first_admin_is_made_on_the_servers_machine(tmp_path: Path) -> None:
    log = tmp_path / "data.log"
    clean = {name: value for name, value in os.environ.items() if "TAGBOAT" not in name}
    clean |= {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    here = clean | {"TAGBOAT_DATA_DIR": str(tmp_path / "data")}
    with tagboat(tmp_path / "data", in_memory=True) as server:
        url = f"http://127.0.0.1:{server.port}"
        (first,) = links(log)
        assert first.startswith(f"{url}/setup/")
        code, out, err = await cli(here, "users", "setup-link")
        assert (code, out.startswith(f"{url}/setup/"), out.strip() != first) == (0, True, True), err

        # One that is wrong says so in words, and changes nothing.
        code, _, err = await cli(here, "users", "create", "Anna", "--admin", piped="short")
        assert (code, "password: must have at least 10 characters" in err) == (1, True), err
        code, out, err = await cli(here, "users", "create", "Anna", "--admin", piped=PASSWORD)
        assert (code, out) == (0, "the account Anna (admin) is made\n"), err
        code, _, err = await cli(here, "users", "setup-link")
        assert (code, "there is an account already" in err) == (1, True)
        code, _, err = await cli(here, "users", "delete", "anna", "--yes")
        assert (code, "there is no other admin" in err) == (1, True)
        code, out, err = await cli(here, "users", "sign-in-link", "anna")
        assert (code, out.startswith(f"{url}/sign-in/")) == (0, True), err
        code, out, err = await cli(here, "users", "reset-password", "ANNA", piped="a new password")
        assert (code, "it has to sign in again" in out) == (0, True), err

        code, token, err = await cli(here, "tokens", "create", "laptop", "--role", "viewer")
        assert code == 0, err
        code, out, err = await cli(clean, "login", url, piped=token)
        assert (code, "as laptop, with the role viewer" in out) == (0, True), err
        assert (await cli(clean, "projects"))[0] == 0
        code, _, err = await cli(clean, "users")
        assert (code, "this needs the role admin, and laptop has the role viewer" in err) == (
            1,
            True,
        ), err
        assert (await cli(here, "tokens", "delete", "laptop", "--yes"))[0] == 0
        code, _, err = await cli(clean, "projects")
        assert (code, "does not accept the token" in err) == (1, True), err
        assert (await cli(clean, "logout"))[0] == 0
    with tagboat(tmp_path / "data", in_memory=True):
        assert links(log) == [first]
    for secret in (PASSWORD, token.strip(), "a new password"):
        assert secret not in log.read_text()
