"""Values of requests: what people write is accepted, and the published schema allows what is."""

from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tagboat.api import host_values, run_values, values
from tagboat.core.errors import InvalidValueError
from tagboat.core.image import MAX_NAME_LENGTH, parse_image_name, parse_image_ref, parse_tag
from tagboat.core.image_glob import parse_image_glob
from tagboat.core.inspection import is_healthcheck
from tagboat.core.naming import MAX_LENGTH, parse_name
from tagboat.core.schedule import parse_schedule
from tagboat.core.tags import MAX_PATTERN_LENGTH, parse_tag_pattern
from tests.support import grammars

_SHORT_FORM = MAX_NAME_LENGTH - len("docker.io/library/")


def _healthcheck(text: str) -> None:
    if not is_healthcheck(text):
        raise InvalidValueError(text)


def _run_value(
    kind: Any,  # noqa: ANN401 - an annotated type is not a class
    around: Callable[[str], object] = str,
) -> Callable[[str], object]:
    """A parser of one kind of value; `around` makes the text into what holds it."""
    adapter = TypeAdapter[Any](kind)

    def parse(text: str) -> object:
        try:
            return adapter.validate_python(around(text), strict=True)
        except ValidationError as error:
            raise InvalidValueError(str(error)) from None

    return parse


MEMORY = _run_value(run_values.MemorySize)
SIGNAL = _run_value(run_values.StopSignal)
USER = _run_value(run_values.UserText)
VOLUME_PATH = _run_value(run_values.VolumeMap, lambda text: {"data": text})
VOLUME = _run_value(run_values.VolumeMap, lambda text: {text: "/data"})
FILE_NAME = _run_value(run_values.SecretFileMap, lambda text: {text: ""})
NETWORK = _run_value(run_values.NetworkNames, lambda text: [text])
LABEL = _run_value(run_values.LabelMap, lambda text: {text: ""})
ENV_NAME = _run_value(values.Env, lambda text: {text: ""})
EXTRA_HOST = _run_value(host_values.ExtraHosts, lambda text: {text: "::1"})
EXTRA_ADDRESS = _run_value(host_values.ExtraHosts, lambda text: {"db": text})
TMPFS_OPTIONS = _run_value(host_values.TmpfsMap, lambda text: {"/cache": text})
CAPABILITY = _run_value(host_values.Capabilities, lambda text: [text])
BIND = _run_value(host_values.Binds, lambda text: [text])
DEVICE = _run_value(host_values.Devices, lambda text: [text])
PUBLISHED = _run_value(host_values.PublishedPorts, lambda text: [text])


def _python(pattern: str) -> str:
    """The expression as Python has it: `$` is the end, and `\\p` does not exist (ASCII will do)."""
    ascii_only = pattern.replace(r"[\p{L}\p{M}\p{N}\p{P}\p{S} ]", "[ -~]")
    return ascii_only.removesuffix("$") + r"\Z"


GRAMMARS: list[tuple[str, Callable[[str], object], int]] = [
    (grammars.NAME, parse_name, MAX_LENGTH),
    (grammars.TAG, parse_tag, 128),
    (grammars.IMAGE_WITH_HOST, parse_image_name, MAX_NAME_LENGTH),
    (grammars.IMAGE_WITHOUT_HOST, parse_image_name, _SHORT_FORM),
    (grammars.REF_WITH_HOST, parse_image_ref, MAX_NAME_LENGTH),
    (grammars.REF_WITHOUT_HOST, parse_image_ref, _SHORT_FORM),
    (grammars.IMAGE_GLOB, parse_image_glob, MAX_NAME_LENGTH),
    (grammars.HEALTHCHECK, _healthcheck, 1024),
    (grammars.SCHEDULE, parse_schedule, 255),
    (grammars.TAG_PATTERN, parse_tag_pattern, MAX_PATTERN_LENGTH),
    (grammars.MEMORY, MEMORY, 32),
    (grammars.SIGNAL, SIGNAL, 32),
    (grammars.USER, USER, 128),
    (grammars.VOLUME_PATH, VOLUME_PATH, 255),
    (grammars.VOLUME, VOLUME, 64),
    (grammars.FILE_NAME, FILE_NAME, 255),
    (grammars.NETWORK, NETWORK, 128),
    (grammars.LABEL, LABEL, 128),
    (grammars.ENV_NAME, ENV_NAME, 255),
    (grammars.EXTRA_HOST, EXTRA_HOST, 253),
    (grammars.EXTRA_ADDRESS, EXTRA_ADDRESS, 64),
    (grammars.TMPFS_OPTIONS, TMPFS_OPTIONS, 255),
    (grammars.CAPABILITY, CAPABILITY, 64),
    (grammars.BIND, BIND, 255),
    (grammars.DEVICE, DEVICE, 255),
    (grammars.PUBLISHED, PUBLISHED, 64),
]


@pytest.mark.parametrize(("pattern", "parse", "longest"), GRAMMARS)
@given(data=st.data())
@settings(deadline=None, max_examples=20)
def test_what_fits_is_accepted(
    pattern: str, parse: Callable[[str], object], longest: int, data: st.DataObject
) -> None:
    text = data.draw(st.from_regex(_python(pattern)).filter(lambda text: len(text) <= longest))

    parse(text)


def _in(name: str) -> Callable[[str], Any]:
    return lambda text: {name: text}


def _key(value: str) -> Callable[[str], Any]:
    return lambda text: {text: value}


def _list(text: str) -> Any:  # noqa: ANN401 - of JSON
    return [text]


@pytest.mark.parametrize(
    ("kind", "around", "texts"),
    [
        (values.ObjectName, str, ["a", "shop-2", "a.b_c"]),
        (values.TagText, str, ["v1", "_x", "A.b-c"]),
        (
            values.PatternText,
            str,
            [
                "*",
                "v[0-9]*",
                r"\*",
                "semver:^1.2 || >=3.0.0-rc.1",
                r"regex:(?:v|r)\d+",
                "regex:(?P<n>a)",
            ],
        ),
        (
            values.ScheduleText,
            str,
            [
                "@hourly",
                "@every 1h30m5s",
                "*/10 * * * *",
                "0,30 0-6/2 1-15 * mon-fri",
                "CRON_TZ=Asia/Tehran 1 2 3 4 5",
            ],
        ),
        (values.ImageText, str, ["nginx", "acme/app", "[::1]:5000/app", "a" * 200]),
        (values.ImageGlobs, _list, ["*", "git.example.com/acme/*", "docker.io/library/nginx"]),
        (
            values.RegistryUrl,
            str,
            ["https://git.example.com", "http://[::1]:5000", "hub.docker.com"],
        ),
        (values.HealthcheckText, str, ["", "image", "/up?full=1"]),
        (values.DomainNames, _list, ["app.example.com", "APP", "localhost"]),
        (values.Env, _key("1"), ["A", "discovery.type", "größe", "a b"]),
        (values.CertificatesText, str, [""]),
        (run_values.MemorySize, str, ["512m", "1.5g", "64MB", "1 GiB", "8388608", "0"]),
        (run_values.StopSignal, str, ["SIGTERM", "int", "15", "", "SIGRTMIN", "40"]),
        (run_values.UserText, str, ["root", "1000:1000", ""]),
        (run_values.VolumeMap, _in("data"), ["/data", "/data/", "/srv/.cache", "/a..b", "/runs"]),
        (run_values.VolumeMap, _key("/data"), ["data", "pg_data-1", "a.b"]),
        (run_values.SecretFileMap, _key("x"), ["tls.key", ".env", "id_ed25519"]),
        (run_values.NetworkNames, _list, ["backend", "db_1", "hosts"]),
        (run_values.LabelMap, _key("x"), ["traefik.enable", "com.example/x", "tagboat"]),
        (host_values.ExtraHosts, _key("::1"), ["db", "host.docker.internal"]),
        (
            host_values.ExtraHosts,
            _in("db"),
            ["host-gateway", "10.0.0.1", "fe80::1", "::ffff:1.2.3.4"],
        ),
        (host_values.TmpfsMap, _in("/run"), ["", "size=64m", "size=50%,mode=1777,noexec"]),
        (host_values.TmpfsMap, _key(""), ["/run", "/run/", "/cache/"]),
        (host_values.Capabilities, _list, ["NET_ADMIN", "cap_sys_ptrace"]),
        (host_values.Binds, _list, ["/srv/my data:/data", "/srv/a:/a:ro"]),
        (host_values.Devices, _list, ["/dev/ttyUSB0", "/dev/a:/dev/b:rwm"]),
        (host_values.PublishedPorts, _list, ["5353:53/udp", "[::1]:80:8080"]),
    ],
)
def test_the_published_schema_allows_what_is_accepted(
    kind: Any,  # noqa: ANN401 - an annotated type is not a class
    around: Callable[[str], Any],
    texts: list[str],
) -> None:
    adapter = TypeAdapter[Any](kind)
    published = jsonschema_rs.validator_for(adapter.json_schema())
    for text in texts:
        adapter.validate_python(around(text), strict=True)
        published.validate(around(text))


@pytest.mark.parametrize(
    ("parse", "texts"),
    [
        (
            parse_tag_pattern,
            ["[", "[]", "[^]", "[a-]", "a\\", "semver:", "regex:(", "glob:v*", "regexp:x"],
        ),
        (
            parse_schedule,
            ["", "* * * *", "@daily x", "60 * * * *", "0 0 31 2 *", "@every 1ms"],
        ),
        (
            parse_image_name,
            ["git.example.com/Acme", "git.example.com/a:v1", "a.b:0/x", "https://a.b/x"],
        ),
        (MEMORY, ["5m", "0.001g", "x", "1g1", "-1g", "99999999999999999g"]),
        (SIGNAL, ["SIGNAL", "0", "65", "TERM ", "-9"]),
        (USER, ["a b", ":1", "a:", "a:b:c", "-x"]),
        (
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
        (VOLUME, ["", "-a", "a/b", "a b"]),
        (FILE_NAME, ["", ".", "..", "../a", "a/b", "a..b", "a.", "..a"]),
        (NETWORK, ["host", "none", "bridge", "default", "-a", "container:a"]),
        (LABEL, ["tagboat.managed", "a b", "a=b", "", "ü"]),
        (ENV_NAME, ["", "A=B", "=", "A\0"]),
        (EXTRA_HOST, ["", "-a", "a b", "a:b", "a."]),
        (
            EXTRA_ADDRESS,
            ["", "10.0.0", "10.0.0.256", "host", "db.example.com"],
        ),
        (
            TMPFS_OPTIONS,
            ["size=", "mode=9", "dev", "suid", "size=1m,", ",size=1m", "bind"],
        ),
        (
            CAPABILITY,
            ["ALL", "SYS_ADMIN", "CAP_SYS_MODULE", "FOO", "", "SYS_RAWIO", "DAC_READ_SEARCH"],
        ),
        (
            BIND,
            ["/a", "a:/a", "/a:/proc", "/a:/run/secrets", "/a:/", "/a/../b:/b", "/a:/b:rx"],
        ),
        (DEVICE, ["", "dev/a", "/dev/a:rwm", "/dev/../a"]),
        (PUBLISHED, ["80", "0:80", "80:65536", "80:80/sctp", "host:80:80"]),
        (
            parse_image_name,
            ["Nginx", "a//b", "", "a/b@sha256:0", "_a"],
        ),
    ],
)
def test_what_cannot_be_used_is_refused(parse: Callable[[str], object], texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(InvalidValueError):
            parse(text)
