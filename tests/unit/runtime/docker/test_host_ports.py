import socket

import pytest

from tagboat.core.errors import EngineError
from tagboat.runtime.docker import host_ports
from tagboat.runtime.docker.host_ports import FIRST, LAST, free_loopback_port


def test_a_port_below_those_of_outgoing_connections() -> None:
    assert FIRST <= free_loopback_port(()) <= LAST < 32768


def test_neither_taken_nor_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_loopback_port(())
    monkeypatch.setattr(host_ports, "FIRST", port)
    monkeypatch.setattr(host_ports, "LAST", port)
    assert free_loopback_port(()) == port
    with pytest.raises(EngineError, match="is free"):
        free_loopback_port({port})
    with socket.create_server(("127.0.0.1", port)), pytest.raises(EngineError, match="is free"):
        free_loopback_port(())
