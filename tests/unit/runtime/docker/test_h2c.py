"""The one request in HTTP/2, held against a library that knows all of it."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from hypothesis import given
from hypothesis import strategies as st

from tagboat.runtime.docker import h2c
from tests.support.http2 import fields_of


@pytest.mark.parametrize(
    "path", ["/", "/up?x=1", f"/{'a' * 500}", f"/{'a' * 126}", f"/{'a' * 127}"]
)
def test_a_server_understands_the_request(path: str) -> None:
    server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    events = server.receive_data(
        h2c.h2c_request(path, "app.example.com", [("user-agent", "tagboat/1")])
    )
    (asked,) = [event for event in events if isinstance(event, RequestReceived)]
    assert fields_of(asked.headers) == {
        ":method": "GET",
        ":scheme": "http",
        ":authority": "app.example.com",
        ":path": path,
        "user-agent": "tagboat/1",
    }


@given(status=st.integers(100, 999), more=st.integers(0, 3))
def test_every_status_is_understood(status: int, more: int) -> None:
    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    server.receive_data(h2c.h2c_request("/", "localhost"))
    fields = [(":status", str(status)), *((f"x-{number}", "y" * 40) for number in range(more))]
    server.send_headers(1, fields, end_stream=status >= 200)
    assert _heard(server.data_to_send()) == [status if status >= 200 else None]


def _heard(wire: bytes) -> list[int | None]:
    """Return what the frames for the one request say."""
    found = []
    while wire:
        head = wire[: h2c.HEAD_LENGTH]
        end = h2c.HEAD_LENGTH + h2c.payload_length(head)
        status, _ = h2c.heard(head, wire[h2c.HEAD_LENGTH : end])
        if head[3] == 1:
            found.append(status)
        wire = wire[end:]
    return found


@given(head=st.binary(min_size=9, max_size=9), payload=st.binary(max_size=40))
def test_whatever_comes_is_heard_or_refused(head: bytes, payload: bytes) -> None:
    for first in (head, b"\x00\x00\x08\x01\x04\x00\x00\x00\x01"):
        try:
            h2c.payload_length(first)
            status, _ = h2c.heard(first, payload)
        except (h2c.NoHttp2Error, ConnectionResetError):
            continue
        assert status is None or 200 <= status <= 999


def test_settings_and_pings_are_answered() -> None:
    assert h2c.heard(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"") == (
        None,
        b"\x00\x00\x00\x04\x01\x00\x00\x00\x00",
    )
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00"
    assert h2c.heard(ping, b"12345678") == (None, b"\x00\x00\x08\x06\x01\x00\x00\x00\x0012345678")
