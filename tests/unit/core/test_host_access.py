"""Paths, devices and ports of the machine, as people write them."""

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.host_access import (
    lies_within,
    parse_bind,
    parse_device,
    parse_published,
    published_port_in,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/srv/a:/a", "/srv/a:/a"),
        ("/srv/a/:/a/:ro", "/srv/a:/a:ro"),
        ("/srv/with space:/a:rw", "/srv/with space:/a"),
    ],
)
def test_binds(text: str, clean: str) -> None:
    assert str(parse_bind(text)) == clean
    assert parse_bind(clean) == parse_bind(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/a",
        "a:/b",
        "/a:b",
        "/a:/b:rx",
        "/a:/b:ro:ro",
        "/a/../b:/b",
        "/a/./b:/b",
        "//a:/b",
        "/a:/b/../c",
        "data:/b",
        "/a\n:/b",
    ],
)
def test_what_is_no_bind(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_bind(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/dev/a", "/dev/a:/dev/a:rwm"),
        ("/dev/a:/dev/b", "/dev/a:/dev/b:rwm"),
        ("/dev/a:/dev/b:wr", "/dev/a:/dev/b:rw"),
    ],
)
def test_devices(text: str, clean: str) -> None:
    assert str(parse_device(text)) == clean
    assert parse_device(clean) == parse_device(text)


@pytest.mark.parametrize(
    "text",
    ["", "dev/a", "/dev/a:rwm", "/dev/a:/dev/b:x", "/dev/a:/dev/b:rr", "/dev/../a", "/dev/a:b"],
)
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_device(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("5353:53/udp", "127.0.0.1:5353:53/udp"),
        ("0.0.0.0:80:8080", "0.0.0.0:80:8080/tcp"),
        ("[::1]:80:8080/tcp", "[::1]:80:8080/tcp"),
        ("65535:1", "127.0.0.1:65535:1/tcp"),
    ],
)
def test_published_ports(text: str, clean: str) -> None:
    assert str(parse_published(text)) == clean
    assert parse_published(clean) == parse_published(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        "0:80",
        "80:0",
        "65536:80",
        "80:65536",
        "80:80/sctp",
        "1.2.3:80:80",
        "::1:80:80",
        "[x]:80:80",
        "a:80",
    ],
)
def test_what_is_no_published_port(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_published(text)


@pytest.mark.parametrize(
    "said",
    [
        "Error starting userland proxy: listen udp4 127.0.0.1:5353: bind: address already in use",
        "Bind for 127.0.0.1:5353 failed: port is already allocated",
        "failed to bind host port for 127.0.0.1:5353:172.17.0.2:53/udp: address already in use",
    ],
)
def test_the_port_that_is_taken_is_found_in_the_engines_words(said: str) -> None:
    assert published_port_in(said, ["127.0.0.1:80:80/tcp", "127.0.0.1:5353:53/udp"]) == 5353
    assert published_port_in(said, ["127.0.0.1:53535:80/tcp"]) is None


def test_what_lies_within() -> None:
    assert lies_within("/srv", "/srv")
    assert lies_within("/srv/a", "/srv")
    assert lies_within("/srv", "/")
    assert not lies_within("/srv2", "/srv")
    assert not lies_within("/", "/srv")
