"""`tagboat import compose`, and what a real server says of its proposals."""

import json
import os
from pathlib import Path

import pytest

from bench.rig import tagboat
from tests.integration.test_account_commands import cli

pytestmark = pytest.mark.anyio
SECRET = "correct horse battery staple"
COMPOSE = f"""\
name: shop
x-common: &common
  restart: always
  environment: &env
    LOG_LEVEL: ${{LOG_LEVEL:-info}}
services:
  web:
    <<: *common
    image: git.example.com/acme/shop:${{TAG:?give a tag}}
    ports: ["8080:3000", 9090:9090]
    environment:
      <<: *env
      DB_PASSWORD: ${{DB_PASSWORD}}
      PRICE: "5$$"
    env_file: [web.env, {{path: gone.env, required: false}}]
    mem_limit: 1m
    cap_add: [SYS_ADMIN, NET_ADMIN]
    depends_on: [db]
    labels:
      traefik.http.routers.web.rule: Host(`shop.example.com`)
    volumes: ["media:/media", "./conf:/etc/app:ro"]
    healthcheck: {{test: "curl -f http://localhost:3000/up"}}
  db:
    image: postgres:16
    environment: [POSTGRES_PASSWORD={SECRET}]
    volumes: ["data:/var/lib/postgresql/data"]
  builds:
    build: .
volumes: {{media: , data: }}
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if "TAGBOAT" not in name}
    clean.pop("LOG_LEVEL", None)
    return clean | {"HOME": str(tmp_path), "TAGBOAT_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_text(COMPOSE)
    (tmp_path / ".env").write_text(f"TAG=v1.4.0\nDB_PASSWORD='{SECRET}'\n")
    (tmp_path / "web.env").write_text(f"SMTP_TOKEN={SECRET}\nCOLOUR=red # not blue\n")
    return path


async def test_a_proposal_is_accepted_by_the_server_and_tells_no_secret(
    tmp_path: Path, environ: dict[str, str], file: Path
) -> None:
    code, out, err = await cli(environ, "import", "compose", str(file))
    assert code == 0, err
    assert SECRET not in out + err
    for part in (
        "builds: image: left out",
        "web: depends_on: ",
        "web: memory: must be 0",
        "web: cap_add.0: SYS_ADMIN",
        "web: volumes: ",
        "9090:9090 is not the port",
        "Set these variables for 'tagboat apply': SMTP_TOKEN, DB_PASSWORD, POSTGRES_PASSWORD",
    ):
        assert part in err
    proposal = tmp_path / "tagboat.yaml"
    proposal.write_text(out)
    names = ("SMTP_TOKEN", "DB_PASSWORD", "POSTGRES_PASSWORD")
    given = environ | dict.fromkeys(names, SECRET)
    with tagboat(tmp_path / "data", in_memory=True):
        code, out, err = await cli(given, "diff", str(proposal))
        assert (code, "+ stage web prod" in out) == (1, True), err
        code, out, err = await cli(given, "apply", str(proposal))
        assert (code, "4 created" in out) == (0, True), err
        assert (await cli(given, "diff", str(proposal)))[0] == 0
        exported = json.loads((await cli(given, "export", "--json"))[1])["projects"]
    web = exported["web"]
    assert web["env"] == {"COLOUR": "red", "LOG_LEVEL": "info", "PRICE": "5$"}
    assert sorted(web["secrets"]) == ["DB_PASSWORD", "SMTP_TOKEN"]
    assert (web["port"], web["healthcheck"], web["cap_add"]) == (3000, "/up", ["NET_ADMIN"])
    assert web["stages"]["prod"] == {
        "tag_pattern": "semver:1.x",
        "domains": ["shop.example.com"],
    }
    assert exported["db"]["image"] == "docker.io/library/postgres"
