"""Commits between two images, whose labels anybody can write."""

import pytest

from tagboat.core.commits import (
    REVISION_LABEL,
    SOURCE_LABEL,
    commits_between,
    compare_url,
    repository_url,
)
from tagboat.core.image import ImageInfo


def image(revision: str | None, source: str | None = None) -> ImageInfo:
    given = {REVISION_LABEL: revision, SOURCE_LABEL: source}
    return ImageInfo(labels={name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("https://github.com/acme/shop", "https://github.com/acme/shop"),
        ("https://GitHub.com/acme/shop.git", "https://github.com/acme/shop"),
        ("https://user:secret@git.example.com:3000/a/b/", "https://git.example.com:3000/a/b"),
        ("git@git.example.com:acme/shop.git", "https://git.example.com/acme/shop"),
        ("ssh://git@git.example.com:2222/acme/shop", "https://git.example.com/acme/shop"),
        ("http://forge.local/a/b c", "http://forge.local/a/b%20c"),
        ("javascript:alert(1)//a/b", None),
        ("data:text/html,/a/b", None),
        ("https://", None),
        ("https://host-only", None),
        ("https://[bad/a/b", None),
        ('https://a"onclick=x/a/b', None),
        ("acme/shop", None),
        ("", None),
    ],
)
def test_a_repository_is_a_page_of_http_or_nothing(source: str, url: str | None) -> None:
    assert repository_url(source) == url


@pytest.mark.parametrize(
    ("repository", "url"),
    [
        ("https://github.com/a/b", "https://github.com/a/b/compare/1...2"),
        ("https://git.example.com/a/b", "https://git.example.com/a/b/compare/1...2"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b/-/compare/1...2"),
        ("https://forge.example.com/g/h/b", "https://forge.example.com/g/h/b/-/compare/1...2"),
        ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/branches/compare/2%0D1"),
    ],
)
def test_each_forge_compares_at_its_own_address(repository: str, url: str) -> None:
    assert compare_url(repository, "1", "2") == url


def test_both_revisions_make_a_link() -> None:
    found = commits_between(image("8f3c2a1"), image("c01d9e4", "https://github.com/a/b"))

    assert (found.before, found.after) == ("8f3c2a1", "c01d9e4")
    assert found.source == "https://github.com/a/b"
    assert found.compare_url == "https://github.com/a/b/compare/8f3c2a1...c01d9e4"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, image("2", "https://github.com/a/b")),
        (image("1"), None),
        (image(None), image("2", "https://github.com/a/b")),
        (image("2"), image("2", "https://github.com/a/b")),
        (image("1", "https://github.com/a/other"), image("2", "https://github.com/a/b")),
        (image("1"), image("2")),
        (image("--help; rm"), image("2", "https://github.com/a/b")),
        (image("x" * 200), image("2", "https://github.com/a/b")),
    ],
)
def test_without_two_revisions_of_one_repository_there_is_no_link(
    before: ImageInfo | None, after: ImageInfo | None
) -> None:
    assert commits_between(before, after).compare_url is None
