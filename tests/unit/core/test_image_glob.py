"""Globs over image names, held against a matcher that is slow and plain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import MAX_NAME_LENGTH, ImageName, parse_image_name
from tagboat.core.image_glob import ImageGlob, parse_image_glob
from tests.support.pace import at_most_s

APP = parse_image_name("git.example.com:3000/acme/app")


@pytest.mark.parametrize(
    "text",
    [
        "**",
        "git.example.com:3000/**",
        "git.example.com:3000/acme/*",
        "git.example.com:3000/*/app",
        "git.example.com:3000/acme/a?p",
        "*/*/*",
        "**/app",
        "**app**",
        "git.example.com:3000/acme/app",
        "git.example.com:3000/acme/app**",
        "Git.Example.com:3000/acme/app",
    ],
)
def test_globs_that_match(text: str) -> None:
    assert parse_image_glob(text).matches(APP)


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*/*",
        "git.example.com:3000/*",
        "git.example.com:3000",
        "git.example.com/**",
        "gitXexample.com:3000/acme/app",  # a dot stands for itself
        "git?example?com:3000?acme?app",  # ? is no /
        "git.example.com:3000/acme/ap",
        "acme/app",
        "git.example.com:3000/Acme/app",
    ],
)
def test_globs_that_do_not(text: str) -> None:
    assert not parse_image_glob(text).matches(APP)


@pytest.mark.parametrize(
    ("text", "image", "matches"),
    [
        ("nginx", "nginx", True),
        ("nginx", "docker.io/library/nginx", True),
        ("nginx*", "nginx-unit", True),
        ("acme/*", "acme/app", True),
        ("acme/*", "acme.example.com/app", False),
        ("library/nginx", "nginx", True),
        ("localhost/*", "localhost/app", True),
        ("*/app", "acme/app", False),
        ("*", "nginx", False),
        ("nginx", "git.example.com/library/nginx", False),
    ],
)
def test_what_begins_with_no_host_is_on_docker_hub(text: str, image: str, matches: bool) -> None:
    assert parse_image_glob(text).matches(parse_image_name(image)) == matches


def test_a_dot_matches_nothing_but_a_dot() -> None:
    assert not parse_image_glob("git.example.com/**").matches(
        ImageName("gitxexample.com", "acme/app")
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "a b",
            "a\n",
            "é",
            "a(b",
            "a|b",
            "a\\*",
            "{a,b}",
            "$",
            "a" * (MAX_NAME_LENGTH + 1),
        ),
        *(
            "[",
            "]",
            "[a",
            "a]",
            "[a-z]*",
            "git.example.com/[",
            "[::1/app",
            "[z]/app",
            "git.example.com/[::1]",
        ),
        *("/app", "app/", "git.example.com//app", "https://git.example.com/app"),
    ],
)
def test_what_is_no_glob(text: str) -> None:
    with pytest.raises(InvalidValueError, match="is not an image glob"):
        parse_image_glob(text)


def naive(glob: str, text: str) -> bool:
    if not glob:
        return not text
    if glob.startswith("**"):
        return any(naive(glob[2:], text[cut:]) for cut in range(len(text) + 1))
    if glob[0] == "*":
        longest = len(text.partition("/")[0])
        return any(naive(glob[1:], text[cut:]) for cut in range(longest + 1))
    return (
        bool(text)
        and (text[0] == glob[0] or (glob[0] == "?" and text[0] != "/"))
        and naive(glob[1:], text[1:])
    )


@given(
    glob=st.text("ab./*?", min_size=1, max_size=8),
    path=st.from_regex(r"[ab]{1,3}(/[ab]{1,3}){0,2}", fullmatch=True),
)
def test_as_the_naive_matcher_says(glob: str, path: str) -> None:
    image = ImageName("a.b", path)
    assert ImageGlob(glob).matches(image) is naive(glob, str(image))


def test_no_glob_hangs() -> None:
    image = ImageName("a.b", "a" * 200)
    with at_most_s(2):
        assert not parse_image_glob("**a" * 80 + "b").matches(image)
