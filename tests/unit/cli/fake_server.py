"""A server that answers from a table, and what it says unless a test says otherwise."""

import json
import socketserver
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "a-token-that-nobody-may-see"
SECRET_URL = "http://localhost/api/webhook/secret"
DIGEST = "sha256:" + "a" * 64
PROJECT = {
    "id": "p1",
    "name": "app",
    "image": "git.example.com/acme/app",
    "port": 8080,
    "env": {"LOG_LEVEL": "info", "PORT": "8080"},
    "secrets": ["DB_PASSWORD"],
    "secret_files": [],
    "poll": {"last_at": "2026-11-24T10:00:00.123456Z", "next_at": None, "error": None},
}
STAGE = {
    "id": "s1",
    "name": "dev",
    "tag_pattern": "*",
    "max_instances": 1,
    "held": False,
    "address": None,
    "position": 0,
    "auto_deploy": True,
    "strategy_in_force": "rolling",
    "domains": [],
    "env": {"LOG_LEVEL": "debug"},
    "secrets": [],
    "secret_files": ["tls.key"],
}
STOPPED = STAGE | {"stopped_at": "2026-11-24T10:00:00Z", "stopped_by": "ada"}
USER = {
    "id": "u1",
    "name": "Anna",
    "role": "viewer",
    "projects": None,
    "signed_in_at": "2026-11-24T10:00:00Z",
}
API_TOKEN = {
    "id": "t1",
    "name": "ci",
    "role": "deployer",
    "projects": None,
    "expires_at": None,
    "used_at": None,
}
VOLUME = {
    "name": "tagboat-s1-data",
    "bytes": 3 << 20,
    "project": "app",
    "stage": "dev",
    "node": None,
}
STEPS: list[dict[str, object]] = [
    {
        "name": "pull",
        "status": "done",
        "detail": "3 layers",
        "started_at": "2026-11-24T10:00:00Z",
        "finished_at": "2026-11-24T10:00:01.5Z",
    },
    {"name": "start", "status": "pending", "detail": "", "started_at": None, "finished_at": None},
]
DEPLOY = {
    "id": "d1",
    "project": {"id": "p1", "name": "app"},
    "stage": {"id": "s1", "name": "dev"},
    "tag": "v1",
    "status": "succeeded",
    "reason": "v1 is live",
    "log": "",
    "steps": STEPS,
    "trigger": "webhook",
    "created_at": "2026-11-24T10:00:00Z",
}
COMPARISON = {
    "project": {"id": "p1", "name": "app"},
    "stage": {"id": "s1", "name": "dev"},
    "before": {"tag": "v1", "digest": DIGEST, "deploy": "d1", "size": 10 << 20},
    "after": {"tag": "v2", "digest": None, "deploy": "d2", "size": None},
    "commits": {
        "before": "1",
        "after": "2",
        "source": "https://forge.example",
        "compare_url": "https://forge.example/compare/1...2",
    },
    "env": {"added": ["SMTP_HOST"], "removed": [], "changed": ["CACHE_URL"]},
    "config": [{"field": "port", "change": "added", "before": None, "after": "80"}],
    "image": [{"field": "user", "change": "changed", "before": "root", "after": "1000"}],
    "release_command": True,
    "changes_nothing": False,
    "unknown": "the digest of v2 is not known yet",
}
INSTANCE = {
    "id": "i1",
    "project": {"id": "p1", "name": "app"},
    "stage": {"id": "s1", "name": "dev"},
    "tag": "v1",
    "digest": DIGEST,
    "state": "live",
    "url": "http://127.0.0.1:20001",
    "address": None,
    "started_at": "2026-11-24T10:00:02Z",
}
EXPLANATION: dict[str, object] = {
    "image": "git.example.com/acme/app",
    "tag": "v1",
    "project": {"id": "p1", "name": "app"},
    "stage": {"id": "s1", "name": "prod"},
    "outcome": "queued",
    "reason": "tag v1 matches v*",
    "considered": [
        {"stage": "dev", "pattern": "main-*", "matches": False},
        {"stage": "prod", "pattern": "v*", "matches": True},
    ],
}
HOOK = {
    "id": "h1",
    "project": {"id": "p1", "name": "app"},
    "name": "ci",
    "signature": None,
    "created_at": "2026-11-24T10:00:00Z",
}
SIGNED = {"kind": "hmac-sha256", "header": None}
PUSH: dict[str, object] = {
    "image": "git.example.com/acme/app",
    "tag": "v1",
    "digest": None,
    "project": {"id": "p1", "name": "app"},
    "stage": {"id": "s1", "name": "prod"},
    "project_created": False,
    "outcome": "queued",
    "reason": "tag v1 matches v*",
    "deploy": "d1",
}
DELIVERY: dict[str, object] = {
    "id": "v1",
    "sender": "gitea",
    "status": 202,
    "received_at": "2026-11-24T10:00:00.5Z",
    "took_ms": 1.25,
    "hook": None,
    "outcome": "queued",
    "reason": "git.example.com/acme/app:v1 is queued in app prod: tag v1 matches v*",
    "pushes": [PUSH],
}
REGISTRY = {
    "id": "r1",
    "name": "Ours",
    "url": "https://git.example.com",
    "kind": "gitea",
    "username": "ci",
    "ca_cert": "",
}


SETTINGS = {
    "poll_schedule": "@every 5m",
    "auto_create": True,
    "auto_create_images": ["a/*"],
    "images_keep": 3,
}
POLLED = {
    "tag": "v1",
    "change": "new",
    "stage": {"id": "s1", "name": "dev"},
    "outcome": "queued",
    "reason": "tag v1 matches *",
    "deploy": "d1",
}
FIRST_POLL = {
    "first_poll": True,
    "new_tags": ["v1"],
    "deploys": [],
    "tags": [POLLED],
    "error": None,
}


@dataclass(frozen=True)
class Said:
    """One answer. `body` is sent as it is where it is bytes, else as JSON."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request, without its query in `call`."""

    call: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


def page(*items: object, following: str | None = None) -> dict[str, object]:
    return {"items": list(items), "next": following}


def problem(status: int, detail: str, **more: object) -> Said:
    return Said(
        {"status": status, "detail": detail, **more},
        status,
        {"content-type": "application/problem+json"},
    )


def overview(fake: "FakeServer", _asked: Asked) -> object:
    """Return the overview that follows from the fake's other answers."""
    rows = [
        {
            "project": {"id": project["id"], "name": project["name"]},
            "stage": stage,
            "live": (live := fake.items("GET /api/instances", stage["id"])),
            "under_way": [],
            "last_deploy": next(iter(fake.items("GET /api/deploys")), None),
            "waiting": [],
            "way_back": fake.answers["GET /api/stages/s1/rollback"],
            "warnings": [],
            "needs_you": [f"{one['tag']}: {one['trouble']}" for one in live if one.get("trouble")],
        }
        for project in fake.items("GET /api/projects")
        for stage in fake.items(f"GET /api/projects/{project['id']}/stages")
    ]
    newest = {call["sender"]: call for call in reversed(fake.items("GET /api/deliveries"))}
    senders = [
        {"sender": call["sender"], "reason": call["reason"], "delivery": call["id"]}
        for call in newest.values()
        if call.get("needs_you")
    ]
    return page(*rows) | {"senders": senders, "needs": fake.answers["needs"]}


def named_stages(fake: "FakeServer", asked: Asked) -> object:
    return page(
        *(
            stage | {"project": {"id": project["id"], "name": project["name"]}}
            for project in fake.items("GET /api/projects")
            for stage in fake.items(f"GET /api/projects/{project['id']}/stages")
            if asked.query.get("project", project["name"]) in {project["id"], project["name"]}
            and asked.query.get("name", stage["name"]) == stage["name"]
        )
    )


def usual_answers() -> dict[str, Any]:
    """`METHOD PATH` to a body, a Said, a list of such, of which the last stays, or a function."""
    return {
        "GET /api/overview": overview,
        "needs": [],
        "GET /api/stages": named_stages,
        "POST /api/stages/s1/cancel": Said(
            {"items": [DEPLOY | {"status": "cancelled", "reason": "cancelled"}]}, 202
        ),
        "GET /api/stages/s1/logs": {
            "source": "instance",
            "instance": INSTANCE,
            "deploy": None,
            "lines": ["hello", "world"],
        },
        "GET /api/health": {
            "status": "ok",
            "version": "0",
            "checks": {"database": "ok", "engine": "ok"},
        },
        "GET /api/projects": page(PROJECT),
        "GET /api/projects/p1": PROJECT,
        "GET /api/stages/s1": Said(STAGE, headers={"etag": '"one"'}),
        "GET /api/users": page(USER),
        "GET /api/tokens": page(API_TOKEN),
        "GET /api/me": {"kind": "token", "id": "t1", "name": "ci", "role": "viewer"}
        | {"projects": None},
        "GET /api/projects/p1/stages": page(STAGE),
        "GET /api/instances": page(INSTANCE),
        "GET /api/instances/i1/logs": {"lines": ["hello", "world"]},
        "GET /api/deploys": page(DEPLOY),
        "GET /api/deploys/d1": DEPLOY,
        "GET /api/registries": page(),
        "POST /api/registries": Said(REGISTRY, 201),
        "PATCH /api/registries/r1": REGISTRY,
        "DELETE /api/registries/r1": Said(b"", 204),
        "POST /api/stages/s1/deploys": Said(DEPLOY | {"status": "queued", "reason": None}, 202),
        "POST /api/stages/s1/rollback": Said(DEPLOY | {"status": "queued", "reason": None}, 202),
        "GET /api/stages/s1/rollback": {
            "possible": True,
            "reason": "",
            "deploy": "d0",
            "tag": "v0",
            "digest": DIGEST,
        },
        "POST /api/stages/s1/promote": Said(DEPLOY | {"status": "queued", "reason": None}, 202),
        "POST /api/stages/s1/hold": STAGE | {"held": True},
        "POST /api/stages/s1/release": STAGE | {"deploys": ["d1"]},
        "POST /api/stages/s1/restart": Said(
            DEPLOY | {"status": "queued", "reason": None, "deploys": ["d1"]}, 202
        ),
        "POST /api/stages/s1/stop": Said(STOPPED, 202),
        "POST /api/stages/s1/start": Said(
            STOPPED | {"deploys": ["d1"], "reason": "v1 is started again"}, 202
        ),
        "POST /api/deploys/d1/cancel": DEPLOY | {"status": "cancelled", "reason": "cancelled"},
        "POST /api/projects/p1/poll": FIRST_POLL,
        "POST /api/poll": {"items": [FIRST_POLL | {"project": {"id": "p1", "name": "app"}}]},
        "GET /api/settings/webhook": {
            "url": SECRET_URL,
            "allows": "Any caller of this URL can do much.",
        },
        "POST /api/settings/webhook/regenerate": {"url": "http://localhost/api/webhook/other"},
        "GET /api/explain": EXPLANATION,
        "GET /api/deliveries": page(DELIVERY),
        "GET /api/deliveries/v1": DELIVERY
        | {
            "headers": {"user-agent": "Gitea"},
            "body": '{"action": "created"}',
            "truncated": False,
            "result": {},
        },
        "POST /api/deliveries/v1/redeliver": Said({"delivery": "v2", "pushes": [PUSH]}, 202),
        "GET /api/projects/p1/webhooks": page(HOOK),
        "POST /api/projects/p1/webhooks": Said(
            HOOK | {"url": "http://localhost/api/webhook/own"}, 201
        ),
        "POST /api/webhooks/h1/rotate": HOOK | {"url": "http://localhost/api/webhook/fresh"},
        "DELETE /api/webhooks/h1": Said(b"", 204),
        "PATCH /api/webhooks/h1": HOOK | {"signature": SIGNED},
        "GET /api/settings/webhook/signature": SIGNED,
        "PUT /api/settings/webhook/signature": SIGNED,
        "DELETE /api/settings/webhook/signature": Said(b"", 204),
        "GET /api/projects/p1/tags": page({"tag": "v1"}, {"tag": "v2"}, {"tag": "main"}),
        "GET /api/registries/r1/images": {
            "items": ["git.example.com/acme/app"],
            "whole": True,
            "error": None,
        },
        "GET /api/images/tags": {"items": ["v1", "v2"], "whole": True, "error": None},
        "POST /api/projects": Said(PROJECT | {"stages": [STAGE]}, 201),
        "PATCH /api/projects/p1": PROJECT,
        "DELETE /api/projects/p1": Said(b"", 204),
        "PATCH /api/stages/s1": STAGE | {"warnings": ["dev will never get a tag"]},
        "DELETE /api/stages/s1": Said(b"", 204),
        "GET /api/settings": SETTINGS,
        "PATCH /api/settings": SETTINGS,
        "POST /api/projects/p1/stages": Said(STAGE | {"warnings": []}, 201),
    }


class FakeServer:
    """A running fake: its address, its answers, and the calls it got."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers = usual_answers()
        self.asked: list[Asked] = []

    def items(self, call: str, stage: str | None = None) -> list[Any]:
        """The items of a list that it would answer, of one stage where that is given."""
        found = self.answers.get(call, page())
        items: list[Any] = found["items"] if isinstance(found, dict) else []
        return [item for item in items if stage is None or item["stage"]["id"] == stage]

    def calls(self, method: str) -> list[str]:
        return [asked.call for asked in self.asked if asked.call.startswith(method)]

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if (
            asked.headers.get("authorization") != f"Bearer {TOKEN}"
            and asked.call != "GET /api/health"
        ):
            return problem(401, "A token is needed.")
        said = self.answers.get(asked.call, problem(404, f"nothing at {asked.call}"))
        if callable(said):
            said = said(self, asked)
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        return said if isinstance(said, Said) else Said(said)


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    class Handler(_Handler):
        def answer(self, asked: Asked) -> Said:
            return fake.answer(asked)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _running(server):
        fake = FakeServer(server.server_port)
        yield fake


@contextmanager
def fake_engine(socket: Path, answers: Mapping[str, object]) -> Iterator[None]:
    """Answer on a unix socket, by path."""

    class Handler(_Handler):
        def answer(self, asked: Asked) -> Said:
            said = answers.get(asked.call.partition(" ")[2], Said(b"", 404))
            return said if isinstance(said, Said) else Said(said)

        def address_string(self) -> str:
            return "a unix socket"

    with socketserver.ThreadingUnixStreamServer(str(socket), Handler) as server, _running(server):
        yield


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def answer(self, asked: Asked) -> Said:
        raise NotImplementedError

    def _answer_call(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query))
        said = self.answer(
            Asked(
                f"{self.command} {parts.path}", query, headers, json.loads(body) if body else None
            )
        )
        data = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
        self.send_response(said.status)
        for name, value in ({"content-length": str(len(data))} | dict(said.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer_call  # noqa: N815 - their names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""
