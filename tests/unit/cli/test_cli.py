"""The command line against a server that answers from a table."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOKEN = "a-token-that-nobody-may-see"
PROJECT = {
    "id": "p1", "name": "app", "image": "git.example.com/acme/app", "port": 8080,
    "poll": {"last_at": None, "next_at": None, "error": None},
}  # fmt: skip
STAGE = {"id": "s1", "name": "dev", "tag_pattern": "*", "address": None}
DEPLOY = {
    "id": "d1", "tag": "v1", "status": "succeeded", "reason": "v1 is live", "log": "", "stage": {"id": "s1", "name": "dev"},
    "steps": [{"name": "pull", "status": "done", "detail": "pulled"}],
}  # fmt: skip
INSTANCE = {
    "id": "i1", "project": {"id": "p1", "name": "app"}, "stage": {"id": "s1", "name": "dev"}, "tag": "v1",
    "digest": "sha256:" + "a" * 64, "state": "live", "url": "http://127.0.0.1:20001",
}  # fmt: skip


def page(*items: object) -> dict[str, object]:
    return {"items": list(items), "next": None}


ANSWERS: dict[str, Any] = {
    "GET /api/health": {"status": "ok", "version": "0", "checks": {"database": "ok", "engine": "ok"}},
    "GET /api/projects": page(PROJECT),
    "GET /api/projects/p1/stages": page(STAGE),
    "GET /api/instances": page(INSTANCE),
    "GET /api/instances/i1/logs": {"lines": ["hello", "world"]},
    "GET /api/deploys": page(DEPLOY),
    "GET /api/deploys/d1": DEPLOY,
    "GET /api/registries": page(),
    "POST /api/stages/s1/deploys": DEPLOY | {"status": "queued", "reason": None},
    "POST /api/projects/p1/poll": {"first_poll": True, "new_tags": ["v1"], "deploys": [], "error": None},
    "GET /api/settings/webhook": {"url": "http://localhost/api/webhook/secret"},
    "POST /api/settings/webhook/regenerate": {"url": "http://localhost/api/webhook/other"},
    "GET /api/explain": {
        "image": "git.example.com/acme/app", "tag": "v1", "project": {"id": "p1", "name": "app"},
        "stage": {"id": "s1", "name": "dev"}, "outcome": "queued", "reason": "tag v1 matches *",
        "considered": [{"stage": "dev", "pattern": "*", "matches": True}],
    },
}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        key = f"{self.command} {self.path.partition('?')[0]}"
        status, body = (200, ANSWERS[key]) if key in ANSWERS else (404, {"detail": f"nothing at {key}"})
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            status, body = 401, {"detail": "a token is needed"}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def tagboat(url: str | None, *words: str, token: str = TOKEN, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TAGBOAT_")}
    given = {"TAGBOAT_URL": url, "TAGBOAT_TOKEN": token} if url else {}
    program = "from tagboat.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", program, *words], env={**environ, **given, **more}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "v1 succeeded"),
        (["projects"], "git.example.com/acme/app"),
        (["deploy", "app", "dev", "v1"], "d1"),
        (["deploy", "app", "dev", "v1", "--wait"], "v1 is live at http://127.0.0.1:20001"),
        (["logs", "app", "dev"], "hello\nworld"),
        (["explain", "git.example.com/acme/app:v1"], "would be queued in app dev: tag v1 matches *"),
        (["poll"], "first poll"),
        (["poll", "app"], "v1"),
        (["webhook", "url"], "http://localhost/api/webhook/secret"),
        (["webhook", "regenerate", "--yes"], "http://localhost/api/webhook/other"),
        (["doctor"], "engine"),
    ],
)
def test_what_each_command_says(url: str, words: list[str], said: str) -> None:
    done = tagboat(url, *words)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize("words", ["status", "projects", "poll", "doctor", "webhook url", "logs app dev", "explain a:b"])
def test_json_is_one_document_on_stdout(url: str, words: str) -> None:
    done = tagboat(url, *words.split(), "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["deploy", "nope", "dev", "v1"], 1, "there is no project named 'nope'; there are: app"),
        (["deploy", "app", "nope", "v1"], 1, "there is no stage of app named 'nope'; there are: dev"),
        (["deploy", "app"], 2, "Missing argument"),
        (["sail"], 2, "No such command"),
        (["webhook", "regenerate"], 1, "--yes"),
    ],
)
def test_what_goes_wrong_is_one_line(url: str, words: list[str], code: int, said: str) -> None:
    done = tagboat(url, *words)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_token_is_told_and_not_shown(url: str) -> None:
    done = tagboat(url, "projects", token="wrong-token")
    assert done.returncode == 1
    assert "does not accept the token" in done.stderr
    assert "wrong-token" not in done.stderr


def test_a_server_that_is_down() -> None:
    done = tagboat("http://127.0.0.1:9", "status")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "cannot be reached" in done.stderr


def test_doctor_reports_a_wrong_token_among_its_findings(url: str) -> None:
    done = tagboat(url, "doctor", "--json", token="wrong-token")
    assert done.returncode == 1
    assert [finding["check"] for finding in json.loads(done.stdout) if not finding["ok"]]


def test_a_redirect_is_not_shown_the_token() -> None:
    seen: list[str | None] = []

    class Redirects(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("authorization"))
            self.send_response(302 if len(seen) == 1 else 404)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirects)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    tagboat(f"http://127.0.0.1:{server.server_port}", "projects")
    server.shutdown()
    server.server_close()
    thread.join()
    assert seen == [f"Bearer {TOKEN}", None]


def test_no_server_on_this_machine(tmp_path: Path) -> None:
    done = tagboat(None, "status", TAGBOAT_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "tagboat serve" in done.stderr


def test_the_local_server_is_found_through_the_data_directory(url: str, tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": url, "token": TOKEN}))
    assert tagboat(None, "projects", TAGBOAT_DATA_DIR=str(tmp_path)).returncode == 0


def test_an_unknown_setting_stops_serve_with_one_line() -> None:
    done = tagboat(None, "serve", TAGBOAT_PROT="1")
    assert done.returncode == 1
    assert done.stderr.startswith("tagboat: TAGBOAT_PROT is not a setting")
    assert done.stderr.count("\n") == 1


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom tagboat.cli.main import run\nsys.argv=['tagboat','--help']\n"
        "try: run()\nexcept SystemExit: pass\n"
        "print(sorted({'sqlalchemy','fastapi','aiohttp','pydantic','structlog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
