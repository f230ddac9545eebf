"""Clients that others generate from the OpenAPI document work: in Python and in TypeScript."""

import asyncio
import json
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import TOKEN, Api, running_api
from tests.support.served import served

GENERATORS = Path(__file__).parents[2] / ".generators"

PYTHON = """
    import sys
    from client import AuthenticatedClient
    from client.api.deploys import create_deploy
    from client.api.projects import change_project, create_project, list_projects
    from client.api.stages import create_stage
    from client.models import (
        CreatedProjectOut, DeployCreate, Problem, ProjectCreate, ProjectUpdate, StageCreate,
    )

    with AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2]) as client:
        made = create_project.sync(
            client=client, body=ProjectCreate(name="app", image="git.example.com/acme/app", port=80)
        )
        stage = create_stage.sync(
            made.id, client=client, body=StageCreate(name="dev", tag_pattern="*")
        )
        again = [
            create_deploy.sync_detailed(
                stage.id, client=client, body=DeployCreate(tag="v1"), idempotency_key="one"
            )
            for _ in range(2)
        ]
        refused = change_project.sync(
            made.id, client=client, body=ProjectUpdate(port=70000)
        )
        page = list_projects.sync(client=client)
        assert isinstance(refused, Problem), refused
        assert refused.type_ == "/problems/invalid-value", refused
        assert again[0].parsed.id == again[1].parsed.id
        assert [one.name for one in page.items] == ["app"]
        print("deployed", again[0].parsed.tag, again[0].headers["location"])
"""

TYPESCRIPT = """
    import type { components, paths } from "./schema";

    type Answers = paths["/api/projects"]["post"]["responses"];
    type Created = Answers["201"]["content"]["application/json"];
    type Problem = components["schemas"]["Problem"];

    const body: components["schemas"]["StageCreate"] = { name: "prod", tag_pattern: "v*" };
    const merge: components["schemas"]["StageUpdate"] = { env: { OLD: null, NEW: "1" } };
    export const names = (created: Created): string => `${created.name} ${created.port}`;
    export const why = (problem: Problem): string => `${problem.type}: ${problem.detail}`;
    // @ts-expect-error a stage has a pattern
    const wrong: components["schemas"]["StageCreate"] = { name: "prod" };
    export { body, merge, wrong };
"""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    if not (GENERATORS / "lock").exists():
        pytest.fail("the generators are missing: run tools/install-generators")
    data = tmp_path / "data"
    data.mkdir()
    with running_api(data) as api:
        answer = asyncio.run(api.caller.get("/api/openapi.json"))
        (tmp_path / "openapi.json").write_bytes(answer.body)
        yield api


def run(folder: Path, *words: object) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_python_client(api: Api, tmp_path: Path) -> None:
    programs = GENERATORS / "python" / "bin"
    overrides = "content_type_overrides:\n  application/x-ndjson: text/plain\n"
    (tmp_path / "generator.yml").write_text(f"post_hooks: []\n{overrides}")
    said = run(
        tmp_path,
        programs / "openapi-python-client", "generate", "--fail-on-warning", "--meta", "none",
        "--path", "openapi.json", "--output-path", "client", "--config", "generator.yml",
    )  # fmt: skip
    (tmp_path / "use.py").write_text(textwrap.dedent(PYTHON))
    with served(api.app) as url:
        used = run(tmp_path, programs / "python", "use.py", url, TOKEN)

    assert "missing" not in said
    assert used.startswith("deployed v1 /api/deploys/")


@pytest.mark.usefixtures("api")
def test_typescript_types(tmp_path: Path) -> None:
    programs = GENERATORS / "node_modules" / ".bin"
    run(
        tmp_path,
        programs / "openapi-typescript",
        "openapi.json",
        "-o",
        "schema.d.ts",
        "--default-non-nullable",
        "false",
    )
    (tmp_path / "use.ts").write_text(textwrap.dedent(TYPESCRIPT))
    settings = {
        "compilerOptions": {"strict": True, "noEmit": True, "skipLibCheck": False},
        "files": ["use.ts"],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    run(tmp_path, programs / "tsc", "--project", "tsconfig.json")
