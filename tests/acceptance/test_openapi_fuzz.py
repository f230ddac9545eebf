"""The description of the API held against the API, by a program that tries everything the one says on the other."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.types import ASGIApp

from tagboat.core.deploy import InstanceState
from tests.support.api import TOKEN, Api, running_api
from tests.support.records import put_instance

# A value can be well formed and yet name what does not exist (`registry`), or fit no other one (a healthcheck's path without
# a port, a name that is a secret and in env, two volumes at one path), or look like a certificate and be none: no schema can
# say that, so only there a 422 to what the schema allows is no failure. The files that a registry takes can, escaped, make a
# body too large. The ids are of things that no call can make without a worker, or that are hard to come by.
_CONFIG = """
parameters = {{ deploy_id = "{deploy}", instance_id = "{instance}", delivery_id = "{delivery}" }}

[[operations]]
include-name = [
    "POST /api/projects", "PATCH /api/projects/{{project_id}}",
    "POST /api/projects/{{project_id}}/stages", "PATCH /api/stages/{{stage_id}}",
]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "413", "422"]
checks.negative_data_rejection.expected-statuses = ["400", "401", "404", "409", "413", "415", "422"]

[[operations]]
include-name = ["POST /api/registries", "PATCH /api/registries/{{registry_id}}"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "413", "422"]
checks.negative_data_rejection.expected-statuses = ["400", "401", "404", "409", "413", "415", "422"]

[[operations]]
include-name = [
    "POST /api/stages/{{stage_id}}/deploys", "POST /api/stages/{{stage_id}}/rollback",
    "POST /api/stages/{{stage_id}}/promote", "POST /api/stages/{{stage_id}}/hold", "POST /api/stages/{{stage_id}}/release",
]
parameters = {{ stage_id = "{stage}" }}

# Its answer has no end.
[[operations]]
include-name = ["GET /api/events"]
enabled = false
"""


async def _config(api: Api) -> str:
    project = (
        await api.caller.post(
            "/api/projects", {"name": "seed", "image": "git.example.com/acme/seed"}
        )
    ).json
    stage = (
        await api.caller.post(
            f"/api/projects/{project['id']}/stages", {"name": "dev", "tag_pattern": "*"}
        )
    ).json
    await put_instance(api, project["id"], stage["id"], InstanceState.LIVE)
    instance = (await api.caller.get("/api/instances")).json["items"][0]
    url = (await api.caller.get("/api/settings/webhook")).json["url"]
    call = (
        await api.anonymous.post(urlsplit(url).path, {"image": "git.example.com/acme/seed:v1"})
    ).json
    return _CONFIG.format(
        deploy=instance["deploy"],
        instance=instance["id"],
        delivery=call["delivery"],
        stage=stage["id"],
    )


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve `app` on a free loopback port, and give its URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("phases", ["examples,coverage", "fuzzing", "stateful"])
def test_the_api_is_as_its_description_says(tmp_path: Path, phases: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    config = tmp_path / "schemathesis.toml"
    program = Path(sys.executable).with_name("schemathesis")
    with running_api(data) as api, served(api.app) as url:
        config.write_text(asyncio.run(_config(api)))
        done = subprocess.run(
            [
                program, "--config-file", config, "run", f"{url}/api/openapi.json",
                "--header", f"Authorization: Bearer {TOKEN}", "--checks", "all", "--phases", phases,
                "--max-examples", "20", "--seed", "1", "--no-color", "--continue-on-failure",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 54" in done.stdout or phases == "stateful", done.stdout
