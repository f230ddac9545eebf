"""A registry whose passwords die, as Amazon ECR's do: polls and deploys go on, by a command."""

import json
import re
import urllib.request
import uuid
from base64 import b64encode
from pathlib import Path

from tests.support.docker_registry import DockerRegistry
from tests.support.expiring_front import USERNAME, expiring_front
from tests.support.images import push_image
from tests.support.monitoring import not_exposed
from tests.support.server import TOKEN, Server, fetch


def metrics_of(server: Server) -> str:
    request = urllib.request.Request(
        f"{server.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return str(answer.read().decode())


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

        # It dies before a poll, then between the look-up of a deploy and its pull by the engine.
        front.expire()
        push_image(registry.host, repository, "v2", body="new")
        report = server.call("POST", f"{project}/poll")[1]
        assert (report["error"], report["new_tags"]) == (None, ["v2"])
        assert server.ended(report["deploys"][0])["status"] == "succeeded"
        assert len(front.passwords) == 2
        front.dies_at_pull = True
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
        exposed = metrics_of(server)
        # Requests are counted by the ingress; test_receipt.py has one.
        assert not_exposed(exposed, besides="tagboat_requests_total") == []
        assert 'tagboat_registry_up{registry="ecr"} 0.0' in exposed
        assert 'tagboat_webhook_calls_total{sender="native",status="202"} 2.0' in exposed
        assert re.search(r'tagboat_deploys_total\{.*status="succeeded"\} 3.0', exposed)
        server.until(
            lambda: not re.search(r"tagboat_images_bytes 0\.0", metrics_of(server)), "the images"
        )
        about = [line for line in map(json.loads, server.log().splitlines()) if "deploy" in line]
        assert {line["logger"] for line in about} >= {"tagboat.deploy"}
        assert all({"project", "stage", "tag"} <= line.keys() for line in about)
        calls = [line for line in map(json.loads, server.log().splitlines()) if "ms" in line]
        assert all(
            (line["client"], bool(line["request_id"])) == ("127.0.0.1", True) for line in calls
        )
        answered = json.dumps([server.items("/api/registries"), server.items("/api/audit"), error])
        for password in front.passwords:
            encoded = b64encode(f"{USERNAME}:{password}".encode()).decode()
            for secret in (password, encoded):
                assert secret not in server.log() + server.out() + answered
