import pytest
import structlog
from starlette.types import Receive, Scope, Send

from tagboat.http.access_log import AccessLog, mask_path

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Calls:
    """What was logged of each call, without its time."""

    def __init__(self) -> None:
        self.logged: list[tuple[object, ...]] = []
        self.bound: list[object] = []

    def log(self, method: str, path: str, status: int, _ms: float, *more: str) -> None:
        self.logged.append((method, path, status, *more))

    async def app(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.bound.append(structlog.contextvars.get_contextvars().get("request_id"))
        await send({"type": "http.response.start", "status": 204, "headers": []})


async def nothing() -> dict[str, object]:
    return {}


async def drop(_message: object) -> None:
    """Take an answer."""


async def call(calls: Calls, *headers: tuple[bytes, bytes], path: str = "/") -> None:
    access = AccessLog(calls.app, calls.log, lambda scope: str(scope["client"][0]))
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": headers,
        "client": ("192.0.2.7", 5000),
    }
    await access(scope, nothing, drop)


@pytest.mark.anyio
async def test_a_line_has_the_caller_and_the_id_that_its_front_gave() -> None:
    calls = Calls()
    await call(calls, (b"x-request-id", b"7f3a-01"), path="/api/health")
    assert calls.logged == [("GET", "/api/health", 204, "192.0.2.7", "7f3a-01")]
    assert calls.bound == ["7f3a-01"]
    assert "request_id" not in structlog.contextvars.get_contextvars()


@pytest.mark.anyio
async def test_ids_of_our_own_differ_and_odd_ones_are_not_taken_over() -> None:
    calls = Calls()
    for odd in (b"", b"a b", b"x" * 65, b"\xff", b'"', b"a\nb", b"-x"):
        await call(calls, (b"x-request-id", odd))
    await call(calls)
    ids = [str(line[-1]) for line in calls.logged]
    assert len(set(ids)) == 8
    assert calls.bound == ids


def test_no_secret_of_a_path_is_shown() -> None:
    assert mask_path(f"/api/webhook/{UUID}/x") == "/api/webhook/***"
    assert mask_path(f"/somewhere/{UUID}") == "/somewhere/***"
    assert mask_path("/setup/abcdef") == "/setup/***"
    assert mask_path("/" + "x" * 300) == "/" + "x" * 199 + "…"
