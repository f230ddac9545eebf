"""The description of the API held against the API, by a program that tries everything the one
says on the other.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tagboat.core.deploy import InstanceState
from tests.support.api import TOKEN, Api, running_api
from tests.support.records import put_instance
from tests.support.served import served

# The published schema allows whatever the server accepts, and more where a grammar cannot be
# written as an expression; for those `tests.support.openapi_formats` draws what people write. A
# value can also name what does not exist (`registry`), or not fit another one (a healthcheck's path
# without a port, a name that is a secret and in env, two volumes at one path): only there a 422 is
# not a failure. The files that a registry takes can, escaped, make a body too large. The ids are of
# things that no call can make without a worker, or that are hard to come by. The webhook has tests
# of its formats.
_CONFIG = """
hooks = "tests.support.openapi_formats"
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

# A project that it names need not exist, nor be for the role, and a time need not be in the future.
[[operations]]
include-name = ["POST /api/users", "PATCH /api/users/{{account_id}}", "POST /api/tokens"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "413", "422"]
checks.negative_data_rejection.expected-statuses = ["400", "401", "404", "409", "413", "415", "422"]

# The caller is a token, which has no password.
[[operations]]
include-name = ["POST /api/me/password"]
checks.positive_data_acceptance.expected-statuses = ["403"]
checks.negative_data_rejection.expected-statuses = ["400", "403", "413", "415", "422"]

# There need be no such container; and a command begins with a program, not with an empty word.
[[operations]]
include-name = ["POST /api/adopt", "POST /api/stages/{{stage_id}}/runs"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "413", "422"]
checks.negative_data_rejection.expected-statuses = ["400", "401", "404", "409", "413", "415", "422"]

# A document may be as its schema says and still not fit together.
[[operations]]
include-name = ["POST /api/config/apply", "POST /api/config/plan"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "413", "422"]
checks.negative_data_rejection.expected-statuses = ["400", "401", "404", "409", "413", "415", "422"]

# A cursor of another list has the form of one of theirs, and is refused.
[[operations]]
include-name = [
    "GET /api/overview", "GET /api/stages", "GET /api/projects", "GET /api/deploys",
    "GET /api/instances", "GET /api/registries", "GET /api/deliveries",
    "GET /api/projects/{{project_id}}/stages", "GET /api/projects/{{project_id}}/tags",
    "GET /api/projects/{{project_id}}/webhooks", "GET /api/users", "GET /api/tokens",
]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "422"]

[[operations]]
include-name = ["POST /api/webhook/{{secret}}"]
enabled = false

[[operations]]
include-name = [
    "POST /api/stages/{{stage_id}}/deploys", "POST /api/stages/{{stage_id}}/rollback",
    "POST /api/stages/{{stage_id}}/promote", "POST /api/stages/{{stage_id}}/hold",
    "POST /api/stages/{{stage_id}}/release", "POST /api/stages/{{stage_id}}/restart",
    "POST /api/stages/{{stage_id}}/stop", "POST /api/stages/{{stage_id}}/start",
    "POST /api/stages/{{stage_id}}/runs",
]
parameters = {{ stage_id = "{stage}" }}

# Followed, their answers have no end.
[[operations]]
include-name = ["GET /api/instances/{{instance_id}}/logs", "GET /api/stages/{{stage_id}}/logs"]
parameters = {{ follow = false }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "422"]

# Not every text is a time.
[[operations]]
include-name = ["GET /api/audit", "GET /api/audit/export"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "422"]

# A stage that it names need not be of the project.
[[operations]]
include-name = ["GET /api/projects/{{project_id}}/pattern"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "422"]

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


@pytest.mark.parametrize(
    ("phase", "tested"),
    [
        # Those whose calls can be made of examples alone.
        ("examples", "Tested: 78"),
        # Two minutes of a processor.
        pytest.param("coverage", "Tested: 90", marks=pytest.mark.slow),
        pytest.param("fuzzing", "Tested: 90", marks=pytest.mark.slow),
        pytest.param("stateful", "Selected: 90/92", marks=pytest.mark.slow),
    ],
)
def test_the_api_is_as_its_description_says(tmp_path: Path, phase: str, tested: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    config = tmp_path / "schemathesis.toml"
    program = Path(sys.executable).with_name("schemathesis")
    # The hooks are of this tree, which is not installed where the program runs.
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with running_api(data) as api, served(api.app) as url:
        config.write_text(asyncio.run(_config(api)))
        done = subprocess.run(
            [
                program, "--config-file", config, "run", f"{url}/api/openapi.json",
                "--header", f"Authorization: Bearer {TOKEN}", "--checks", "all",
                # Every call bears the token given here, so that one without cannot be tried.
                "--exclude-checks", "missing_required_header", "--phases", phase,
                "--max-examples", "12", "--seed", "1", "--no-color", "--continue-on-failure",
            ],
            cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert tested in done.stdout, done.stdout
