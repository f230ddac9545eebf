import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import InvalidValueError
from tagboat.core.ids import new_id
from tagboat.core.image import parse_image_name
from tagboat.core.naming import (
    MAX_LENGTH,
    container_name,
    earlier_instance_host,
    earlier_stage_host,
    instance_host,
    is_project_network,
    name_choices,
    network_name,
    parse_name,
    project_network,
    stage_host,
)


def unique_name(wanted: str, whole: str, taken: Callable[[str], bool]) -> str:
    return next(name for name in name_choices(wanted, whole) if not taken(name))


PATH_PARTS = st.from_regex(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", fullmatch=True).filter(
    lambda text: len(text) <= 200
)


@pytest.mark.parametrize("text", ["a", "0", "app", "my-app", "a.b_c--d", "a" * MAX_LENGTH])
def test_names(text: str) -> None:
    assert parse_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-a",
        "a-",
        ".a",
        "a.",
        "_",
        "App",
        "a b",
        "a/b",
        "a\n",
        "é",
        "a" * (MAX_LENGTH + 1),
        "a\x00",
    ],
)
def test_what_cannot_be_a_name(text: str) -> None:
    with pytest.raises(InvalidValueError, match="cannot be a name"):
        parse_name(text)


def test_an_error_repeats_little_of_a_long_text() -> None:
    with pytest.raises(InvalidValueError) as raised:
        parse_name("x" * 100_000)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("taken", "name"),
    [((), "app"), (("app",), "app-2"), (("app", "app-2", "app-3"), "app-4"), (("app-2",), "app")],
)
def test_a_name_that_is_taken_gets_the_first_free_number(taken: tuple[str, ...], name: str) -> None:
    assert unique_name("app", "git.example.com/acme/app", taken.__contains__) == name


def test_a_long_name_is_cut_and_its_number_still_fits() -> None:
    base = unique_name("a" * 100, "x", lambda _: False)
    assert base == "a" * MAX_LENGTH
    assert unique_name("a" * 100, "x", {base}.__contains__) == "a" * (MAX_LENGTH - 2) + "-2"


def test_of_many_of_one_name_a_free_one_is_found_with_few_questions() -> None:
    names: set[str] = set()
    for number in range(300):
        asked: list[str] = []

        def taken(name: str, asked: list[str] = asked) -> bool:
            asked.append(name)
            return name in names

        name = unique_name("app", f"git.example.com/team{number}/app", taken)
        names.add(parse_name(name))
        assert len(asked) <= 11
    assert len(names) == 300


@given(wanted=PATH_PARTS, others=st.integers(0, 12))
def test_whatever_an_image_is_called_its_projects_get_good_names_of_their_own(
    wanted: str, others: int
) -> None:
    part = parse_image_name(f"git.example.com/{wanted}").last_part
    names: set[str] = set()
    for _ in range(others + 1):
        name = unique_name(part, part, names.__contains__)
        assert parse_name(name) == name
        names.add(name)
    assert len(names) == others + 1


def test_the_name_of_a_container() -> None:
    assert container_name("app", "prod", "1a2b3c4d") == "app-prod-1a2b3c4d"


def test_the_host_of_a_stage() -> None:
    assert stage_host("app", "prod", "localhost") == "app-prod.localhost"
    assert stage_host("my.app_1", "prod", "example.com") == "my-app-1-prod.example.com"
    assert stage_host("a__b--c", "x._y", "example.com") == "a-b-c-x-y.example.com", (
        "no label has `--` in it"
    )


def test_where_a_stage_answered_before_hosts_were_slugs() -> None:
    assert earlier_stage_host("my.app_1", "prod", "example.com") == "my.app_1-prod.example.com"
    assert (
        earlier_instance_host("my_app", "pr", "V1.2", "example.com") == "my_app-pr-v1-2.example.com"
    )


def test_the_name_on_a_network() -> None:
    assert network_name("my_app", "dev") == "my-app-dev"


@pytest.mark.parametrize(
    ("tag", "slug"),
    [
        ("v1.2.3", "v1-2-3"),
        ("PR-17", "pr-17"),
        ("feature_X..y--z", "feature-x-y-z"),
        ("-_a_-", "a"),
        ("latest", "latest"),
    ],
)
def test_the_host_of_an_instance(tag: str, slug: str) -> None:
    assert instance_host("app", "prod", tag, "localhost") == f"app-prod-{slug}.localhost"


def test_a_tag_without_letters_and_digits_has_a_host_too() -> None:
    first, second = (instance_host("app", "prod", tag, "localhost") for tag in ("_", "__"))
    assert first != second
    assert first.startswith("app-prod-")


def test_a_host_too_long_is_cut_and_stays_its_own() -> None:
    first, second = (stage_host("a" * MAX_LENGTH, stage, "localhost") for stage in ("prod", "dev"))
    assert first != second
    for host in (first, second):
        assert len(host.removesuffix(".localhost")) == MAX_LENGTH


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)


@given(project=NAMES, stage=NAMES, tag=TAGS)
def test_every_host_fits_into_dns(project: str, stage: str, tag: str) -> None:
    for base in ("localhost", ".".join(["b" * 62] * 3)):
        for host in (stage_host(project, stage, base), instance_host(project, stage, tag, base)):
            label = host.removesuffix(f".{base}")
            assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", label)
            assert len(label) <= MAX_LENGTH
            assert len(host) <= 253


def test_names_that_are_cut_stay_apart() -> None:
    base = ".".join(["b" * 62] * 3)
    hosts = {
        stage_host(name, "dev", base)
        for name in ("a" * 60, "a" * 61, f"{'a' * 59}_b", f"{'a' * 59}-b")
    }
    assert len(hosts) == 4


def test_a_network_that_a_person_has_named_is_no_projects_own() -> None:
    own = project_network(new_id())
    assert is_project_network(own)
    assert not is_project_network("tagboat-shared")
    assert not is_project_network(f"{own}-swarm")
