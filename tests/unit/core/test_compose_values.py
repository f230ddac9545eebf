from collections.abc import Callable

import pytest

from tagboat.core.compose_values import (
    ComposeMount,
    as_bool,
    as_list,
    as_number,
    as_pairs,
    as_seconds,
    as_text,
    as_words,
    parse_compose_mount,
    parse_compose_port,
)
from tagboat.core.errors import InvalidValueError


def test_lists_and_maps_in_either_form() -> None:
    assert as_pairs({"A": 1, "B": None, "C": True}) == {"A": "1", "B": None, "C": "true"}
    assert as_pairs(["A=1=2", "B", "C="]) == {"A": "1=2", "B": None, "C": ""}
    assert as_pairs(["db:10.0.0.5", "v6=::1"], ":=") == {"db": "10.0.0.5", "v6": "::1"}
    assert as_list("one") == ["one"]
    assert as_words("sh -c 'a b'") == ["sh", "-c", "a b"]
    assert as_words(["a b", 1]) == ["a b", "1"]
    assert (as_bool("true"), as_bool(value=False), as_number("1.5")) == (True, False, 1.5)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("500ms", 1), ("0s", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    assert as_seconds(text) == seconds


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (8080, "8080:8080"),
        ("80:8080", "80:8080"),
        ("127.0.0.1:80:8080", "127.0.0.1:80:8080"),
        ("127.0.0.1::8080", "127.0.0.1:8080:8080"),
        ("[::1]:53:53/udp", "[::1]:53:53/udp"),
        ({"target": 80, "published": "8080", "host_ip": "127.0.0.1"}, "127.0.0.1:8080:80"),
        ({"target": 80}, "80:80"),
        ({"target": 53, "published": 53, "protocol": "udp", "mode": "host"}, "53:53/udp"),
    ],
)
def test_ports(value: object, shown: str) -> None:
    assert str(parse_compose_port(value)) == shown


@pytest.mark.parametrize(
    ("value", "mount"),
    [
        ("data:/data", ComposeMount("volume", "data", "/data")),
        ("/data/", ComposeMount("volume", "", "/data")),
        (
            "./etc:/etc/app:ro,z",
            ComposeMount("bind", "/srv/shop/etc", "/etc/app", read_only=True, lost=("z",)),
        ),
        ("../up:/up", ComposeMount("bind", "/srv/up", "/up")),
        (
            {"type": "bind", "source": "x", "target": "/x", "read_only": True},
            ComposeMount("bind", "/srv/shop/x", "/x", read_only=True),
        ),
        ({"type": "volume", "source": "d", "target": "/d"}, ComposeMount("volume", "d", "/d")),
        (
            {"type": "tmpfs", "target": "/t", "tmpfs": {"size": 65536}},
            ComposeMount("tmpfs", "", "/t", options="size=65536"),
        ),
    ],
)
def test_mounts(value: object, mount: ComposeMount) -> None:
    assert parse_compose_mount(value, "/srv/shop") == mount


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (as_text, ["a"]),
        (as_list, {"a": 1}),
        (as_list, None),
        (as_words, "sh -c 'a"),
        (as_bool, "yes"),
        (as_number, "many"),
        (as_number, "nan"),
        (as_number, -1),
        (as_seconds, 10),
        (as_seconds, "1.2.3s"),
        (as_seconds, "soon"),
        (parse_compose_port, "3000-3005"),
        (parse_compose_port, "99999"),
        (parse_compose_port, {"published": 80}),
        (parse_compose_port, ["80"]),
        (lambda value: parse_compose_mount(value, "/srv"), "a:/b:ro:x"),
        (lambda value: parse_compose_mount(value, "/srv"), "a:/b:wrong"),
        (lambda value: parse_compose_mount(value, "/srv"), "~/a:/b"),
        (lambda value: parse_compose_mount(value, "/srv"), {"type": "npipe", "target": "/b"}),
        (lambda value: parse_compose_mount(value, "/srv"), {"type": "bind"}),
        (
            lambda value: parse_compose_mount(value, "/srv"),
            {"type": "volume", "source": "a", "target": "/b", "volume": {"subpath": "c"}},
        ),
    ],
)
def test_what_a_compose_file_cannot_have_there(
    read: Callable[[object], object], value: object
) -> None:
    with pytest.raises(InvalidValueError):
        read(value)
