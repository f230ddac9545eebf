"""Which images become projects by themselves, and how many."""

import pytest

from tagboat.core.auto_create import (
    AutoCreate,
    newcomers,
    refuses,
    too_many_projects,
    what_the_url_allows,
)
from tagboat.core.image import ImageName
from tagboat.core.image_glob import ImageGlob

IMAGE = ImageName("git.example.com", "acme/app")
ANY = AutoCreate(enabled=True, images=None)
MANY = [ImageName("git.example.com", f"acme/app{number}") for number in range(30)]


def test_an_unknown_image_is_refused_where_auto_creation_is_off() -> None:
    reason = refuses(AutoCreate(enabled=False, images=(ImageGlob("**"),)), IMAGE)
    assert (
        reason
        == "no project has the image git.example.com/acme/app, and the setting auto_create is off"
    )


@pytest.mark.parametrize(
    ("globs", "allowed"),
    [
        (["**"], True),
        (["git.example.com/**"], True),
        (["docker.io/**", "git.example.com/acme/*"], True),
        (["git.example.com/*"], False),
        (["docker.io/**"], False),
        ([], False),
    ],
)
def test_an_unknown_image_needs_one_glob_that_allows_it(globs: list[str], allowed: bool) -> None:
    reason = refuses(AutoCreate(enabled=True, images=tuple(map(ImageGlob, globs))), IMAGE)
    assert (reason is None) is allowed
    assert reason is None or "auto_create_images" in reason


@pytest.mark.parametrize(
    ("hosts", "allowed"),
    [
        ((), True),
        (("git.example.com",), True),
        (("docker.io", "git.example.com"), True),
        (("docker.io",), False),
    ],
)
def test_unless_a_person_says_otherwise_it_is_what_configured_registries_have(
    hosts: tuple[str, ...], allowed: bool
) -> None:
    reason = refuses(AutoCreate(enabled=True, images=None, hosts=frozenset(hosts)), IMAGE)
    assert (reason is None) is allowed
    assert reason is None or "git.example.com is not the host of a configured registry" in reason


def test_beyond_so_many_projects_none_is_made_unasked() -> None:
    assert too_many_projects(ANY, IMAGE, 999) is None
    assert "above 1000 (the setting max_projects): there are 1000" in str(
        too_many_projects(ANY, IMAGE, 1000)
    )


def test_one_call_makes_so_many_projects() -> None:
    screened = newcomers(ANY, MANY, (), 0)
    assert [why is None for why in screened.values()] == [True] * 20 + [False] * 10
    assert "one call makes 20 projects at most" in str(screened[MANY[-1]])


def test_nor_more_than_there_may_be() -> None:
    screened = newcomers(ANY, MANY, (), 995)
    assert [why is None for why in screened.values()] == [True] * 5 + [False] * 25
    assert "max_projects" in str(screened[MANY[5]])


def test_those_found_before_keep_their_places_and_no_others_take_them() -> None:
    left = MANY[5:]  # others have made projects of the first few meanwhile
    screened = newcomers(ANY, left, set(MANY[:20]), 5)
    assert [image for image, why in screened.items() if why is None] == MANY[5:20]


def test_those_refused_take_no_places() -> None:
    globs = (ImageGlob("git.example.com/acme/app2?"),)
    screened = newcomers(AutoCreate(enabled=True, images=globs), MANY, (), 0)
    assert [image for image, why in screened.items() if why is None] == MANY[20:]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (ANY, "can run any image from anywhere"),
        (
            AutoCreate(enabled=True, images=None, hosts=frozenset({"b.example", "a.example"})),
            "can run each image at a.example, b.example.",
        ),
        (AutoCreate(enabled=True, images=(ImageGlob("a/*"),)), "auto_create_images allows (a/*)"),
        (AutoCreate(enabled=True, images=()), "cannot run any other image"),
        (AutoCreate(enabled=False, images=None), "cannot run any other image"),
    ],
)
def test_what_the_url_allows_follows_the_settings(policy: AutoCreate, words: str) -> None:
    assert words in what_the_url_allows(policy)
    assert what_the_url_allows(policy).startswith(
        "Anybody with this URL can deploy any tag of your projects' images"
    )
