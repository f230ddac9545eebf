"""Configuration as a file, by the command line against a real server."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig import tagboat
from tests.integration.test_account_commands import cli

pytestmark = pytest.mark.anyio

SECRET = "correct horse battery staple"
FILE = f"""\
settings:
  poll_schedule: "@every 10m"
registries:
  forge:
    url: https://git.example.com
    kind: gitea
    username: deploy
    password: env:FORGE_PASSWORD
projects:
  shop:
    image: git.example.com/acme/shop
    port: 8080
    healthcheck: /health
    registry: forge
    env: {{PORT: 8080, DEBUG: true, COUNTRY: NO, ODD: 'ü "x": y'}}
    secrets: {{DB_PASSWORD: "file:db-password.txt"}}
    stages:
      prod:
        tag_pattern: semver:>=1.0.0
        position: -1
        domains: [shop.example.com]
        memory: 512m
        secrets: {{TOKEN: "exec:printf '{SECRET}'"}}
      dev: {{tag_pattern: "*"}}
    webhooks: [ci]
  api: &base
    image: git.example.com/acme/api
    stages: {{dev: {{tag_pattern: "*"}}}}
  worker:
    <<: *base
    image: git.example.com/acme/worker
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if "TAGBOAT" not in name}
    return clean | {"HOME": str(tmp_path), "TAGBOAT_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(FILE)
    (tmp_path / "db-password.txt").write_text(f"{SECRET}\n")
    return path


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[None]:
    with tagboat(tmp_path / "data", in_memory=True):
        yield


@pytest.mark.usefixtures("running")
async def test_a_file_is_applied_once_and_moves_to_another_server(
    tmp_path: Path, environ: dict[str, str], file: Path
) -> None:
    code, out, err = await cli(environ, "apply", str(file))
    where = f"{file}:8: registries.forge.password: the variable FORGE_PASSWORD is not set"
    assert (code, where in err) == (1, True), err
    given = environ | {"FORGE_PASSWORD": SECRET}
    code, out, err = await cli(given, "diff", str(file))
    assert (code, "+ stage shop prod" in out, SECRET in out) == (1, True, False), err
    code, out, err = await cli(given, "apply", str(file), "--dry-run")
    assert (code, "would be: 9 created, 1 changed" in out) == (0, True), out + err
    assert "shop" not in (await cli(environ, "projects"))[1]
    code, out, err = await cli(given, "apply", str(file))
    assert (code, "9 created, 1 changed" in out) == (0, True), out + err
    for words in (("diff", str(file)), ("apply", str(file)), ("apply", str(file), "--prune")):
        code, out, err = await cli(given, *words)
        assert (code, out.startswith("nothing ")) == (0, True), out + err

    code, exported, err = await cli(environ, "export")
    assert code == 0, err
    assert SECRET not in exported
    assert "DB_PASSWORD: env:SHOP__DB_PASSWORD or keep" in exported
    assert exported.index("prod:") < exported.index("dev:", exported.index("shop:"))
    copy = tmp_path / "all.yaml"
    rewrite(copy, exported)
    for words in (("diff", str(copy)), ("diff", str(copy), "--prune")):
        code, out, err = await cli(environ, *words)
        assert code == 0, out + err

    there = environ | {"TAGBOAT_DATA_DIR": str(tmp_path / "other")}
    with tagboat(tmp_path / "other", in_memory=True):
        code, out, err = await cli(there, "apply", str(copy))
        assert (code, "the server has no value that could stay" in err) == (1, True), err
        assert "registries.forge.password" in err
        assert "projects.shop.stages.prod.secrets.TOKEN" in err
        names = dict.fromkeys(re.findall(r"env:(\w+)", exported), SECRET)
        code, out, err = await cli(there | names, "apply", str(copy))
        assert code == 0, err
        assert (await cli(there, "export"))[1] == exported
        assert (await cli(there | names, "diff", str(copy)))[0] == 0


@pytest.mark.usefixtures("running")
async def test_a_saved_password_does_not_follow_a_registry_to_another_server(
    environ: dict[str, str], file: Path
) -> None:
    given = environ | {"FORGE_PASSWORD": SECRET}
    assert (await cli(given, "apply", str(file)))[0] == 0
    moved = FILE.replace("url: https://git.example.com", "url: https://git.example.net", 1)
    rewrite(file, moved.replace("env:FORGE_PASSWORD", "keep"))
    for words in (("diff",), ("apply", "--dry-run"), ("apply",)):
        code, _, err = await cli(given, *words, str(file))
        assert (code, f"{file}:8: registries.forge.password: the one that" in err) == (1, True), err
    code, _, err = await cli(
        given, "registries", "change", "forge", "--url", "http://other.example"
    )
    assert (code, "password: the one that is saved is for https://git.example.com" in err) == (
        1,
        True,
    )
    rewrite(file, moved)
    code, out, err = await cli(given, "apply", str(file))
    assert (code, "url" in out) == (0, True), err


@pytest.mark.usefixtures("running")
async def test_changes_are_told_and_made_field_by_field(
    environ: dict[str, str], file: Path
) -> None:
    given = environ | {"FORGE_PASSWORD": SECRET}
    assert (await cli(given, "apply", str(file)))[0] == 0
    # The domain moves from one stage to the other, and a variable becomes a secret.
    text = FILE.replace("port: 8080", "port: 9090", 1)
    text = text.replace("        domains: [shop.example.com]\n", "")
    text = text.replace(
        'dev: {tag_pattern: "*"}', "dev: {tag_pattern: '*', domains: [shop.example.com]}", 1
    )
    text = text.replace("DEBUG: true, ", "").replace("env:FORGE_PASSWORD", "keep")
    text = text.replace("  api: &base", "  interface: &base")
    text = text.replace("    webhooks: [ci]\n", "")
    rewrite(file, text)
    code, out, err = await cli(environ, "diff", str(file))
    assert code == 1, err
    for line in (
        "~ project shop",
        "    port: 8080 → 9090",
        "    env.DEBUG: true → nothing",
        "    name: api → interface",
        '    domains: [] → ["shop.example.com"]',
        "would be: 4 changed",
    ):
        assert line in out.splitlines(), out
    code, out, err = await cli(environ, "apply", str(file), "--prune")
    assert (code, "- webhook shop ci" in out, "1 deleted" in out) == (0, True, True), out + err
    assert (await cli(environ, "diff", str(file), "--prune"))[0] == 0

    smaller = text[: text.index("  shop:")] + text[text.index("  interface:") :]
    rewrite(
        file, smaller.replace("  forge:", "  left:\n    url: https://left.example.com\n  forge:")
    )
    assert (await cli(environ, "diff", str(file)))[0] == 1
    code, out, err = await cli(environ, "apply", str(file), "--prune")
    assert (code, "- project shop" in out) == (0, True), out + err
    assert "shop" not in (await cli(environ, "projects"))[1]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "tag_pattern: semver",
            "tag_patern: semver",
            ":19: unknown key 'tag_patern' in projects.shop.stages.prod; did you mean tag_pattern?",
        ),
        ("settings:", "setings:", ":1: unknown key 'setings'; did you mean settings?"),
        ("port: 8080", "port: 80800", ":12: projects.shop.port: must be at most 65535"),
        ("semver:>=1.0.0", "semver:x-y", ":19: projects.shop.stages.prod.tag_pattern: "),
        ("semver:>=1.0.0", "", ":19: projects.shop.stages.prod.tag_pattern: "),
        ("acme/worker", "acme/api", ":29: projects.worker: the project api deploys the image"),
        ("env:FORGE_PASSWORD", SECRET, ":8: registries.forge.password: a secret does not stand"),
        ("registry: forge", "registry: forje", ":14: projects.shop.registry: there is no registry"),
        ("  api: &base", "  shop: &base", ":26: the key 'shop' is there twice, first on line 10"),
        ("webhooks: [ci]", "webhooks: ci", ":25: projects.shop.webhooks: must be a list"),
    ],
)
async def test_errors_name_the_line_and_change_nothing(
    environ: dict[str, str], file: Path, old: str, new: str, says: str
) -> None:
    assert old in FILE
    rewrite(file, FILE.replace(old, new))
    given = environ | {"FORGE_PASSWORD": SECRET}
    for command in ("diff", "apply"):
        code, _, err = await cli(given, command, str(file))
        assert (code, says in err, SECRET in err) == (1, True, False), err
    assert "shop" not in (await cli(environ, "projects"))[1]
