"""Whatever fits an expression of the OpenAPI description is accepted, and what it is meant to exclude is refused by both."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagboat.api import patterns
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
]


@pytest.mark.parametrize(("pattern", "parse", "longest"), GRAMMARS)
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_what_fits_is_accepted(pattern: str, parse: Callable[[str], object], longest: int, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(_python(pattern)).filter(lambda text: len(text) <= longest))

    parse(text)


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        (patterns.TAG_PATTERN, ["*", "v*", "v[0-9]*", "[^a-z]*", r"\*", "semver:^1.2 || >=3.0.0-rc.1", "regex:(?:v|r)\\d+"]),
        (patterns.SCHEDULE, ["@hourly", "@every 90s", "@every 1h30m", "*/5 * * * *", "0 4 * * mon-fri", "30 2 1 1 0"]),
        (patterns.IMAGE_WITH_HOST, ["git.example.com/acme/app", "localhost:5000/app", "[::1]:5000/app"]),
        (patterns.IMAGE_WITHOUT_HOST, ["nginx", "acme/app", "a.b"]),
        (patterns.REGISTRY_URL, ["https://git.example.com", "http://127.0.0.1:5000/", "http://[::1]:5000"]),
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
        (patterns.SCHEDULE, parse_schedule, ["", "* * * *", "@daily x", "60 * * * *", "0 0 31 2 *", "@every 1ms"]),
        (
            patterns.IMAGE_WITH_HOST,
            parse_image_name,
            ["git.example.com/Acme", "git.example.com/a:v1", "a.b:0/x", "https://a.b/x"],
        ),
        (patterns.IMAGE_WITHOUT_HOST, parse_image_name, ["Nginx", "a//b", "", "a/b@sha256:0", "_a"]),
    ],
)
def test_what_is_refused_does_not_fit(pattern: str, parse: Callable[[str], object], texts: list[str]) -> None:
    for text in texts:
        assert not re.fullmatch(_python(pattern), text), text
        with pytest.raises(InvalidValueError):
            parse(text)
