"""Whatever fits an expression of the OpenAPI description is accepted, and what it is meant to exclude is refused by both."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tagboat.api import host_values, patterns, run_values, values
from tagboat.core.errors import InvalidValueError
from tagboat.core.image import MAX_NAME_LENGTH, parse_image_name, parse_image_ref, parse_tag
from tagboat.core.image_glob import parse_image_glob
from tagboat.core.inspection import is_healthcheck
from tagboat.core.naming import MAX_LENGTH, parse_name
from tagboat.core.schedule import parse_schedule
from tagboat.core.tags import MAX_PATTERN_LENGTH, parse_tag_pattern

_SHORT_FORM = MAX_NAME_LENGTH - len("docker.io/library/")


def _healthcheck(text: str) -> None:
    if not is_healthcheck(text):
        raise InvalidValueError(text)


def _run_value(kind: Any, around: Callable[[str], object] = str) -> Callable[[str], object]:  # noqa: ANN401 - an annotated type is no class
    """A parser of one kind of value; `around` makes the text into what holds it."""
    adapter = TypeAdapter[Any](kind)

    def parse(text: str) -> object:
        try:
            return adapter.validate_python(around(text), strict=True)
        except ValidationError as error:
            raise InvalidValueError(str(error)) from None

    return parse


MEMORY = _run_value(run_values.Memory)
SIGNAL = _run_value(run_values.StopSignal)
USER = _run_value(run_values.User)
VOLUME_PATH = _run_value(run_values.Volumes, lambda text: {"data": text})
VOLUME = _run_value(run_values.Volumes, lambda text: {text: "/data"})
FILE_NAME = _run_value(run_values.SecretFiles, lambda text: {text: ""})
NETWORK = _run_value(run_values.Networks, lambda text: [text])
LABEL = _run_value(run_values.Labels, lambda text: {text: ""})
ENV_NAME = _run_value(values.Env, lambda text: {text: ""})
EXTRA_HOST = _run_value(host_values.ExtraHosts, lambda text: {text: "::1"})
EXTRA_ADDRESS = _run_value(host_values.ExtraHosts, lambda text: {"db": text})
TMPFS_OPTIONS = _run_value(host_values.Tmpfs, lambda text: {"/tmp": text})  # noqa: S108 - in the container
CAPABILITY = _run_value(host_values.Capabilities, lambda text: [text])
BIND = _run_value(host_values.Binds, lambda text: [text])
DEVICE = _run_value(host_values.Devices, lambda text: [text])
PUBLISHED = _run_value(host_values.Publish, lambda text: [text])


def _python(pattern: str) -> str:
    """The expression as Python has it: `$` is the end, and `\\p` does not exist (ASCII will do)."""
    ascii_only = pattern.replace(r"[\p{L}\p{M}\p{N}\p{P}\p{S} ]", "[ -~]")
    return ascii_only.removesuffix("$") + r"\Z"


GRAMMARS: list[tuple[str, Callable[[str], object], int]] = [
    (patterns.NAME, parse_name, MAX_LENGTH),
    (patterns.TAG, parse_tag, 128),
    (patterns.IMAGE_WITH_HOST, parse_image_name, MAX_NAME_LENGTH),
    (patterns.IMAGE_WITHOUT_HOST, parse_image_name, _SHORT_FORM),
    (patterns.REF_WITH_HOST, parse_image_ref, MAX_NAME_LENGTH),
    (patterns.REF_WITHOUT_HOST, parse_image_ref, _SHORT_FORM),
    (patterns.IMAGE_GLOB, parse_image_glob, MAX_NAME_LENGTH),
    (patterns.HEALTHCHECK, _healthcheck, 1024),
    (patterns.SCHEDULE, parse_schedule, 255),
    (patterns.TAG_PATTERN, parse_tag_pattern, MAX_PATTERN_LENGTH),
    (patterns.MEMORY, MEMORY, 32),
    (patterns.SIGNAL, SIGNAL, 32),
    (patterns.USER, USER, 128),
    (patterns.VOLUME_PATH, VOLUME_PATH, 255),
    (patterns.VOLUME, VOLUME, 64),
    (patterns.FILE_NAME, FILE_NAME, 255),
    (patterns.NETWORK, NETWORK, 128),
    (patterns.LABEL, LABEL, 128),
    (patterns.ENV_NAME, ENV_NAME, 255),
    (patterns.EXTRA_HOST, EXTRA_HOST, 253),
    (patterns.EXTRA_ADDRESS, EXTRA_ADDRESS, 64),
    (patterns.TMPFS_OPTIONS, TMPFS_OPTIONS, 255),
    (host_values.CAPABILITY, CAPABILITY, 64),
    (patterns.BIND, BIND, 255),
    (patterns.DEVICE, DEVICE, 255),
    (patterns.PUBLISHED, PUBLISHED, 64),
]


@pytest.mark.parametrize(("pattern", "parse", "longest"), GRAMMARS)
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_what_fits_is_accepted(
    pattern: str, parse: Callable[[str], object], longest: int, data: st.DataObject
) -> None:
    text = data.draw(st.from_regex(_python(pattern)).filter(lambda text: len(text) <= longest))

    parse(text)


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        (
            patterns.TAG_PATTERN,
            [
                "*",
                "v*",
                "v[0-9]*",
                "[^a-z]*",
                r"\*",
                "semver:^1.2 || >=3.0.0-rc.1",
                "regex:(?:v|r)\\d+",
            ],
        ),
        (
            patterns.SCHEDULE,
            [
                "@hourly",
                "@every 90s",
                "@every 1h30m",
                "*/5 * * * *",
                "0 4 * * mon-fri",
                "30 2 1 1 0",
            ],
        ),
        (
            patterns.IMAGE_WITH_HOST,
            ["git.example.com/acme/app", "localhost:5000/app", "[::1]:5000/app"],
        ),
        (patterns.IMAGE_WITHOUT_HOST, ["nginx", "acme/app", "a.b"]),
        (
            patterns.REGISTRY_URL,
            ["https://git.example.com", "http://127.0.0.1:5000/", "http://[::1]:5000"],
        ),
        (patterns.MEMORY, ["512m", "1.5g", "64MB", "2G"]),
        (patterns.SIGNAL, ["SIGTERM", "INT", "15", ""]),
        (patterns.USER, ["root", "1000", "1000:1000", "www-data:www-data", ""]),
        (
            patterns.VOLUME_PATH,
            ["/data", "/var/lib/postgresql/data", "/srv/.cache", "/a..b", "/runs", "/processes"],
        ),
        (patterns.VOLUME, ["data", "pg_data-1", "a.b"]),
        (patterns.FILE_NAME, ["tls.key", ".env", "id_ed25519", "a-b.c"]),
        (patterns.NETWORK, ["backend", "db_1", "hosts"]),
        (patterns.LABEL, ["traefik.enable", "com.example/x", "tagboat"]),
        (
            patterns.ENV_NAME,
            ["A", "discovery.type", "MY-VAR", "ConnectionStrings:Main", "1A", "a b", "größe"],
        ),
        (patterns.EXTRA_HOST, ["db", "host.docker.internal", "my_db"]),
        (patterns.EXTRA_ADDRESS, ["host-gateway", "10.0.0.1", "255.255.255.255"]),
        (patterns.TMPFS_OPTIONS, ["", "size=64m", "size=50%,mode=1777,uid=1000,noexec", "rw"]),
        (host_values.CAPABILITY, ["NET_ADMIN", "CAP_SYS_PTRACE"]),
        (patterns.BIND, ["/srv/data:/data", "/srv/a:/a:ro"]),
        (patterns.PUBLISHED, ["5353:53/udp", "0.0.0.0:80:8080", "65535:1/tcp"]),
    ],
)
def test_what_people_write_fits(pattern: str, texts: list[str]) -> None:
    for text in texts:
        assert re.fullmatch(_python(pattern), text), text


@pytest.mark.parametrize(
    ("pattern", "parse", "texts"),
    [
        (
            patterns.TAG_PATTERN,
            parse_tag_pattern,
            ["[", "[]", "[^]", "[a-]", "a\\", "semver:", "regex:(", "glob:v*", "regexp:x"],
        ),
        (
            patterns.SCHEDULE,
            parse_schedule,
            ["", "* * * *", "@daily x", "60 * * * *", "0 0 31 2 *", "@every 1ms"],
        ),
        (
            patterns.IMAGE_WITH_HOST,
            parse_image_name,
            ["git.example.com/Acme", "git.example.com/a:v1", "a.b:0/x", "https://a.b/x"],
        ),
        (patterns.MEMORY, MEMORY, ["5m", "0.001g", "x", "1g1", "-1g", "99999999999999999g"]),
        (patterns.SIGNAL, SIGNAL, ["SIGNAL", "0", "65", "TERM ", "-9"]),
        (patterns.USER, USER, ["a b", ":1", "a:", "a:b:c", "-x"]),
        (
            patterns.VOLUME_PATH,
            VOLUME_PATH,
            [
                "",
                "/",
                "data",
                "/..",
                "/a/../b",
                "/a/.",
                "//a",
                "/a//b",
                "/proc",
                "/dev/x",
                "/run",
                "/run/secrets/a",
                "/a:b",
            ],
        ),
        (patterns.VOLUME, VOLUME, ["", "-a", "a/b", "a b"]),
        (patterns.FILE_NAME, FILE_NAME, ["", ".", "..", "../a", "a/b", "a..b", "a.", "..a"]),
        (patterns.NETWORK, NETWORK, ["host", "none", "bridge", "default", "-a", "container:a"]),
        (patterns.LABEL, LABEL, ["tagboat.managed", "a b", "a=b", "", "ü"]),
        (patterns.ENV_NAME, ENV_NAME, ["", "A=B", "=", "A\0"]),
        (patterns.EXTRA_HOST, EXTRA_HOST, ["", "-a", "a b", "a:b", "a."]),
        (
            patterns.EXTRA_ADDRESS,
            EXTRA_ADDRESS,
            ["", "10.0.0", "10.0.0.256", "host", "db.example.com"],
        ),
        (
            patterns.TMPFS_OPTIONS,
            TMPFS_OPTIONS,
            ["size=", "mode=9", "dev", "suid", "size=1m,", ",size=1m", "bind"],
        ),
        (
            host_values.CAPABILITY,
            CAPABILITY,
            ["ALL", "SYS_ADMIN", "CAP_SYS_MODULE", "FOO", "", "SYS_RAWIO", "DAC_READ_SEARCH"],
        ),
        (
            patterns.BIND,
            BIND,
            ["/a", "a:/a", "/a:/proc", "/a:/run/secrets", "/a:/", "/a/../b:/b", "/a:/b:rx"],
        ),
        (patterns.DEVICE, DEVICE, ["", "dev/a", "/dev/a:rwm", "/dev/../a"]),
        (patterns.PUBLISHED, PUBLISHED, ["80", "0:80", "80:65536", "80:80/sctp", "host:80:80"]),
        (
            patterns.IMAGE_WITHOUT_HOST,
            parse_image_name,
            ["Nginx", "a//b", "", "a/b@sha256:0", "_a"],
        ),
    ],
)
def test_what_is_refused_does_not_fit(
    pattern: str, parse: Callable[[str], object], texts: list[str]
) -> None:
    for text in texts:
        assert not re.fullmatch(_python(pattern), text), text
        with pytest.raises(InvalidValueError):
            parse(text)
