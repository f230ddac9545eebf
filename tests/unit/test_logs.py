import asyncio
import io
import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tagboat.logs import configure_logging
from tagboat.settings import LogFormat, LogLevel

SECRET = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Only our logging within a test, and afterwards the logging that the other tests had."""
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = list(root.handlers)
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(LogFormat.JSON, logging.INFO, stream)
    return stream


@pytest.fixture
def console() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(LogFormat.CONSOLE, logging.INFO, stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    stream.seek(0)
    stream.truncate()
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("log_format", list(LogFormat))
async def test_an_access_line_has_caller_and_request(log_format: LogFormat) -> None:
    stream = io.StringIO()
    log_call = configure_logging(log_format, logging.INFO, stream)
    log_call("GET", "/api/health", 200, 1.25, "192.0.2.7", "front-1")
    if log_format is LogFormat.JSON:
        async with asyncio.timeout(60):
            while not stream.getvalue():  # noqa: ASYNC110 - they are written together, in a moment
                await asyncio.sleep(0.01)
        (line,) = lines(stream)
        line.pop("timestamp")
        assert line == {
            "level": "info",
            "logger": "tagboat.access",
            "event": "call",
            "method": "GET",
            "path": "/api/health",
            "status": 200,
            "ms": 1.2,
            "client": "192.0.2.7",
            "request_id": "front-1",
        }
    else:
        assert "client=192.0.2.7" in stream.getvalue()
        assert "request_id=front-1" in stream.getvalue()


@pytest.mark.parametrize(("level", "number"), [("info", 1), ("warning", 0), ("error", 0)])
def test_access_lines_follow_the_level(level: str, number: int) -> None:
    stream = io.StringIO()
    log_call = configure_logging(LogFormat.CONSOLE, LogLevel(level).number, stream)
    log_call("GET", "/", 200, 1.0, "192.0.2.7", "front-1")
    assert len(stream.getvalue().splitlines()) == number


class TestJson:
    def test_one_object_a_line(self, stream: io.StringIO) -> None:
        before = datetime.now(UTC)
        structlog.get_logger("tagboat.webhook").info(
            "request", status=202, ms=1.25, path="/api/health"
        )
        structlog.get_logger().warning("second\nline")
        first, second = lines(stream)
        timestamp = str(first.pop("timestamp"))
        assert timestamp.endswith("Z")
        assert before <= datetime.fromisoformat(timestamp) <= datetime.now(UTC)
        assert first == {
            "level": "info",
            "logger": "tagboat.webhook",
            "event": "request",
            "status": 202,
            "ms": 1.25,
            "path": "/api/health",
        }
        assert (second["level"], second["logger"], second["event"]) == (
            "warning",
            "tagboat",
            "second\nline",
        )

    def test_libraries_go_the_same_way(self, stream: io.StringIO) -> None:
        logging.getLogger("alembic.runtime.migration").info("Running upgrade %s", "0001")
        (line,) = lines(stream)
        assert set(line) == {"timestamp", "level", "logger", "event"}
        assert (line["level"], line["logger"], line["event"]) == (
            "info",
            "alembic.runtime.migration",
            "Running upgrade 0001",
        )

    def test_uvicorns_own_handlers_are_put_away(self) -> None:
        own, stream = io.StringIO(), io.StringIO()
        logger = logging.getLogger("uvicorn.access")
        logger.addHandler(logging.StreamHandler(own))
        logger.propagate = False
        configure_logging(LogFormat.JSON, logging.INFO, stream)
        logger.info("hello")
        assert [line["event"] for line in lines(stream)] == ["hello"]
        assert own.getvalue() == ""

    def test_what_is_below_the_level_is_left_out(self, stream: io.StringIO) -> None:
        structlog.get_logger().debug("no")
        logging.getLogger("aiohttp").debug("no")
        assert lines(stream) == []

    def test_an_exception_is_one_line_without_local_variables(self, stream: io.StringIO) -> None:
        def fail() -> None:
            local = SECRET
            raise RuntimeError(f"{len(local)} characters")

        for log in (structlog.get_logger("own"), logging.getLogger("theirs")):
            try:
                fail()
            except RuntimeError:
                log.exception("it failed")  # type: ignore[attr-defined,unused-ignore]
        for line in lines(stream):
            assert line["level"] == "error"
            assert "RuntimeError: 36 characters" in str(line["exception"])
            assert "exc_info" not in line
            assert SECRET not in str(line)

    def test_context_is_added(self, stream: io.StringIO) -> None:
        structlog.contextvars.bind_contextvars(deploy="d1")
        structlog.get_logger().bind(stage="prod").info("step %s", "pull")
        (line,) = lines(stream)
        assert (line["event"], line["deploy"], line["stage"]) == ("step pull", "d1", "prod")

    def test_warnings_become_lines(self, stream: io.StringIO) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=False)
            configure_logging(LogFormat.JSON, logging.INFO, stream)
            warnings.warn("old ways", DeprecationWarning, stacklevel=1)
        (line,) = lines(stream)
        assert line["logger"] == "py.warnings"
        assert "DeprecationWarning: old ways" in str(line["event"])

    def test_a_librarys_broken_format_still_gives_a_line(self, stream: io.StringIO) -> None:
        root = logging.getLogger()
        # pytest's own handler takes such a record for a failure of the test.
        root.handlers[:] = [
            handler for handler in root.handlers if type(handler).__module__ == "tagboat.logs"
        ]
        logging.getLogger("x").warning("%d", "no number")
        assert [line["event"] for line in lines(stream)] == ["%d"]

    def test_values_that_json_does_not_know(self, stream: io.StringIO) -> None:
        class Colour(StrEnum):
            RED = "red"

        structlog.get_logger().info(
            "x",
            path=Path("/a"),
            colour=Colour.RED,
            at=datetime(2026, 3, 1, tzinfo=UTC),
            error=OSError(2, "gone"),
            many=(1, {2}),
        )
        (line,) = lines(stream)
        assert line["path"] == "/a"
        assert line["colour"] == "red"
        assert line["at"] == "2026-03-01 00:00:00+00:00"
        assert line["error"] == "FileNotFoundError(2, 'gone')"
        assert line["many"] == [1, [2]]

    def test_what_utf_8_and_64_bits_cannot_hold(self, stream: io.StringIO) -> None:
        structlog.get_logger().info("x", name="a\udcff", big=2**70)
        (line,) = lines(stream)
        assert (line["name"], line["big"]) == ("'a\\udcff'", str(2**70))

    @given(
        st.text(),
        st.dictionaries(
            st.text(), st.recursive(st.none() | st.integers() | st.text() | st.floats(), st.lists)
        ),
    )
    def test_whatever_is_logged_it_is_one_line_of_json(
        self, event: str, detail: dict[str, object]
    ) -> None:
        stream = io.StringIO()
        configure_logging(LogFormat.JSON, logging.INFO, stream)
        structlog.get_logger().info("%s", event, detail=detail)
        assert stream.getvalue().count("\n") == 1
        assert json.loads(stream.getvalue())["level"] == "info"


class TestConsole:
    def test_no_colours_without_a_terminal(self, console: io.StringIO) -> None:
        structlog.get_logger("tagboat.webhook").info("request", status=202)
        text = console.getvalue()
        assert re.fullmatch(r"\S+Z \[info +\] request +\[tagboat\.webhook\] status=202\n", text)

    def test_colours_on_a_terminal(self) -> None:
        terminal = Terminal()
        configure_logging(LogFormat.CONSOLE, logging.INFO, terminal)
        structlog.get_logger().info("request")
        assert "\x1b[" in terminal.getvalue()

    def test_what_a_stranger_sends_cannot_draw_on_the_terminal(self, console: io.StringIO) -> None:
        structlog.get_logger().info("pushed\x1b[2Jx\nfake line", image="a\u202eb")
        text = console.getvalue()
        assert text.count("\n") == 1
        assert "\x1b" not in text
        assert r"pushed\x1b[2Jx\nfake line" in text
        assert "\\u202e" in text

    def test_a_traceback_keeps_its_lines_and_no_local_variables(self, console: io.StringIO) -> None:
        local = SECRET
        try:
            raise RuntimeError(f"{len(local)} \x1b[2J")
        except RuntimeError:
            structlog.get_logger().exception("it failed")
        text = console.getvalue()
        assert "\nRuntimeError: 36 \\x1b[2J" in text
        assert SECRET not in text

    def test_secrets_are_masked_there_too(self) -> None:
        for stream in (io.StringIO(), Terminal()):
            configure_logging(LogFormat.CONSOLE, logging.INFO, stream)
            structlog.get_logger().info("request", path=f"/api/webhook/{SECRET}", token=SECRET)
            logging.getLogger("uvicorn.access").info("POST /api/webhook/%s HTTP/1.1", SECRET)
            assert SECRET not in stream.getvalue()
            assert stream.getvalue().count("/api/webhook/***") == 2


class TestMasks:
    @pytest.mark.parametrize("tail", ["", "/", "?x=1", " HTTP/1.1", '"', "\n", "'", ")"])
    def test_the_secret_in_the_webhooks_path(self, stream: io.StringIO, tail: str) -> None:
        for secret in (SECRET, SECRET.upper(), str(uuid4()), SECRET.replace("-", "%2D")):
            structlog.get_logger().info(
                f"POST /api/webhook/{secret}{tail}",
                where={"url": [f"http://h/api/webhook/{secret}"]},
            )
            text = stream.getvalue()
            (line,) = lines(stream)
            assert secret not in text
            assert str(line["event"]).startswith("POST /api/webhook/***")
            assert line["where"] == {"url": ["http://h/api/webhook/***"]}

    def test_in_a_traceback(self, stream: io.StringIO) -> None:
        try:
            raise RuntimeError(f"no route for /api/webhook/{SECRET}")
        except RuntimeError:
            logging.getLogger("asyncio").exception("failed")
        assert SECRET not in stream.getvalue()
        assert "/api/webhook/***" in str(lines(stream)[0]["exception"])

    @pytest.mark.parametrize(
        "key",
        [
            "password",
            "token",
            "admin_token",
            "webhook_secret",
            "Authorization",
            "proxy-authorization",
            "PASSWORD",
            "db_passwd",
        ],
    )
    def test_values_of_telling_names(self, stream: io.StringIO, key: str) -> None:
        structlog.get_logger().info(
            "x", **{key: SECRET}, nested={"list": [{key: {"deep": SECRET}}]}, plain="kept"
        )
        (line,) = lines(stream)
        assert line[key] == "***"
        assert line["nested"] == {"list": [{key: "***"}]}
        assert line["plain"] == "kept"

    def test_whether_there_is_one_may_be_said(self, stream: io.StringIO) -> None:
        structlog.get_logger().info("x", has_token=True, password=None)
        (line,) = lines(stream)
        assert (line["has_token"], line["password"]) == (True, None)

    def test_the_password_in_a_url(self, stream: io.StringIO) -> None:
        structlog.get_logger().info(
            f"cannot connect to postgresql://boat:{SECRET}@db:5432/boat or https://ada@host/x:y@z"
        )
        assert (
            lines(stream)[0]["event"]
            == "cannot connect to postgresql://boat:***@db:5432/boat or https://ada@host/x:y@z"
        )

    def test_what_a_repr_leaves_out_stays_out(self, stream: io.StringIO) -> None:
        @dataclass
        class Login:
            name: str
            key: str = field(repr=False)

        structlog.get_logger().info("x", login=Login("ada", SECRET))
        assert SECRET not in stream.getvalue()
        assert "name='ada'" in str(lines(stream)[0]["login"])


def test_configuring_again_replaces_the_stream_and_the_format(stream: io.StringIO) -> None:
    log = structlog.get_logger("early")
    log.info("one")
    second = io.StringIO()
    configure_logging(LogFormat.JSON, logging.WARNING, second)
    log.info("dropped")
    log.warning("two")
    logging.getLogger("theirs").warning("three")
    assert [line["event"] for line in lines(stream)] == ["one"]
    assert [line["event"] for line in lines(second)] == ["two", "three"]


def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        configure_logging(LogFormat.JSON, logging.INFO, stream)
        structlog.get_logger().info("x")
        logging.getLogger("theirs").info("y")


def test_lines_of_many_threads_do_not_mix(stream: io.StringIO) -> None:
    def work() -> None:
        for number in range(200):
            structlog.get_logger().info("x" * 50, number=number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(stream)) == 800
