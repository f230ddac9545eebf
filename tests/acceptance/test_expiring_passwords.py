"""A registry whose passwords die, as Amazon ECR's do: polls and deploys go on, by a command."""

import json
import uuid
from base64 import b64encode
from pathlib import Path

from tests.support.docker_registry import DockerRegistry
from tests.support.expiring_front import USERNAME, expiring_front
from tests.support.images import push_image
from tests.support.server import Server, fetch


def test_polls_and_deploys_go_on_when_a_password_dies(
    server: Server, registry: DockerRegistry, tmp_path: Path
) -> None:
    repository = f"acme/app-{uuid.uuid4().hex[:8]}"
    with expiring_front(registry.host, tmp_path) as front:
        entry = {"name": "ecr", "url": f"http://{front.host}", "password_command": front.command}
        status, made = server.call("POST", "/api/registries", entry)
        assert (status, made["password_command"]) == (201, front.command)
        tested = server.call("POST", f"/api/registries/{made['id']}/test")[1]
        assert tested["checks"][0]["detail"] == f"prints a password for the user {USERNAME}"

        push_image(registry.host, repository, "v1", body="old")
        push = server.push(f"{front.host}/{repository}:v1")
        assert server.ended(push["deploy"])["status"] == "succeeded"
        project = f"/api/projects/{push['project']['id']}"
        assert server.call("POST", f"{project}/poll")[1]["error"] is None
        assert len(front.passwords) == 1

        # It dies before a poll, then between the look-up and the pull of a deploy.
        front.expire()
        push_image(registry.host, repository, "v2", body="new")
        report = server.call("POST", f"{project}/poll")[1]
        assert (report["error"], report["new_tags"]) == (None, ["v2"])
        assert server.ended(report["deploys"][0])["status"] == "succeeded"
        assert len(front.passwords) == 2
        front.expire()
        push_image(registry.host, repository, "v3", body="newest")
        deploy = server.ended(server.push(f"{front.host}/{repository}:v3")["deploy"])
        assert deploy["status"] == "succeeded", deploy["reason"]
        assert [fetch(instance["url"]) for instance in server.live()] == ["newest"]
        assert (len(front.passwords), front.refused > 0) == (3, True)

        Path(front.command).write_text("#!/bin/sh\necho 'no credentials for AWS' >&2\nexit 7\n")
        front.expire()
        error = server.call("POST", f"{project}/poll")[1]["error"]
        assert "password command of ecr" in error
        assert "ended with exit code 7: no credentials for AWS" in error
        health = server.call("GET", "/api/health")[1]
        assert (health["status"], "exit code 7" in health["checks"]["registries"]) == (
            "degraded",
            True,
        )
        answered = json.dumps([server.items("/api/registries"), server.items("/api/audit"), error])
        for password in front.passwords:
            encoded = b64encode(f"{USERNAME}:{password}".encode()).decode()
            for secret in (password, encoded):
                assert secret not in server.log() + server.out() + answered
