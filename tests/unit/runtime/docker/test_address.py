from pathlib import Path

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.runtime.docker.address import EngineTransport, parse_engine_address


def test_nothing_is_the_local_socket() -> None:
    assert parse_engine_address(None).socket == Path("/var/run/docker.sock")


def test_a_unix_socket() -> None:
    address = parse_engine_address("unix:///run/user/1000/docker.sock")
    assert (address.transport, address.socket) == (
        EngineTransport.UNIX,
        Path("/run/user/1000/docker.sock"),
    )


@pytest.mark.parametrize(
    ("url", "tls", "base"),
    [
        ("tcp://127.0.0.1:2375", False, "http://127.0.0.1:2375"),
        ("tcp://engine", False, "http://engine:2375"),
        ("tcp://engine", True, "https://engine:2376"),
        ("tcp://[::1]:99", True, "https://[::1]:99"),
        ("http://engine:1", True, "http://engine:1"),
        ("https://engine", False, "https://engine:2376"),
    ],
)
def test_tcp_is_http_or_https_and_never_tcp(url: str, tls: bool, base: str) -> None:
    address = parse_engine_address(url, tls_verify=tls)
    assert address.base_url == base
    assert address.transport is (
        EngineTransport.TLS if base.startswith("https") else EngineTransport.PLAIN
    )


def test_certificates_mean_tls() -> None:
    address = parse_engine_address("tcp://engine:2376", cert_path=Path("/certs"))
    assert (address.transport, address.certificates) == (EngineTransport.TLS, Path("/certs"))


@pytest.mark.parametrize(
    ("url", "destination", "socket"),
    [
        ("ssh://box", ("--", "box"), None),
        ("ssh://me@box:2222", ("-l", "me", "-p", "2222", "--", "box"), None),
        ("ssh://me@box/run/docker.sock", ("-l", "me", "--", "box"), Path("/run/docker.sock")),
    ],
)
def test_ssh(url: str, destination: tuple[str, ...], socket: Path | None) -> None:
    address = parse_engine_address(url)
    assert (address.ssh_destination, address.socket) == (destination, socket)


def test_what_is_shown_holds_no_login() -> None:
    for url in ("tcp://me:hunter2@engine:2375", "ssh://me:hunter2@box"):
        assert "hunter2" not in repr(parse_engine_address(url))


@pytest.mark.parametrize(
    "url",
    [
        "npipe:////./pipe/docker",
        "/var/run/docker.sock",
        "unix://",
        "tcp://",
        "ssh://",
        "tcp://h:99999",
    ],
)
def test_no_address(url: str) -> None:
    with pytest.raises(InvalidValueError, match="Docker engine"):
        parse_engine_address(url)
