"""Which paths of the host an app could lead away, because they are below what it may write to."""

import pytest

from tagboat.core.host_nesting import host_uses, nested_uses
from tagboat.core.run import RunOptions

LINKS = {"/srv/link": "/srv/a", "/srv/a/far": "/srv/c", "/srv/b/down": "/srv/a/x"}


def real(path: str) -> str:
    return LINKS.get(path, path)


def found(ours: str, theirs: str) -> list[tuple[str, str]]:
    """What is nested between binds or devices (`dev:`) of a new stage and those of an old one."""

    def options(words: str) -> RunOptions:
        texts = words.split()
        binds = tuple(one for one in texts if not one.startswith("dev:"))
        devices = tuple(one.removeprefix("dev:") for one in texts if one not in binds)
        return RunOptions(binds=binds, devices=devices)

    new = host_uses("1", ("shop", "dev"), options(ours), real)
    old = host_uses("2", ("blog", "prod"), options(theirs), real)
    return [(one.inner.path, one.outer.path) for one in nested_uses(new, old)]


@pytest.mark.parametrize(
    ("ours", "theirs", "nested"),
    [
        # In one stage.
        ("/srv/a:/a /srv/a/sub:/s:ro", "", [("/srv/a/sub", "/srv/a")]),
        ("/srv/a:/a /srv/a/b/c:/s", "", [("/srv/a/b/c", "/srv/a")]),
        ("/srv/a:/a dev:/srv/a/null", "", [("/srv/a/null", "/srv/a")]),
        ("/:/a dev:/dev/null", "", [("/dev/null", "/")]),
        ("/srv/a:/a:ro /srv/a:/b /srv/a/sub:/s", "", [("/srv/a/sub", "/srv/a")]),
        ("/srv/a:/a:ro /srv/a/sub:/s", "", []),
        ("/srv/a:/a /srv/a:/b:ro", "", []),
        ("/srv/a:/a /srv/ab:/s", "", []),
        ("dev:/dev/bus dev:/dev/bus/usb", "", []),
        # With another, on either side.
        ("/srv/a/sub:/s:ro", "/srv/a:/a", [("/srv/a/sub", "/srv/a")]),
        ("dev:/srv/a/null", "/srv/a:/a", [("/srv/a/null", "/srv/a")]),
        ("/srv/a:/a", "/srv/a/sub:/s:ro", [("/srv/a/sub", "/srv/a")]),
        ("/srv/a:/a", "dev:/srv/a/null", [("/srv/a/null", "/srv/a")]),
        ("/srv/a:/a", "/srv/a:/a", []),
        ("/srv/a:/a:ro", "/srv/a/sub:/s", []),
        # What was so before is not to blame.
        ("/srv/z:/z", "/srv/a:/a /srv/a/sub:/s", []),
        # With links followed, and as it is written.
        ("/srv/b/down:/s", "/srv/link:/a", [("/srv/b/down", "/srv/link")]),
        ("/srv/a/far:/s", "/srv/a:/a", [("/srv/a/far", "/srv/a")]),
        ("/srv/link:/s", "/srv/a:/a", []),
    ],
)
def test_a_path_below_what_an_app_may_write_to_is_found(
    ours: str, theirs: str, nested: list[tuple[str, str]]
) -> None:
    assert found(ours, theirs) == nested


def test_the_words_name_both_and_what_to_do() -> None:
    inner = host_uses("1", ("shop", "dev"), RunOptions(binds=("/srv/b/down:/s:ro",)), real)
    outer = host_uses(
        "2", ("blog", "prod"), RunOptions(binds=("/srv/link:/a",)), real, running=True
    )
    (nested,) = nested_uses(inner, outer)
    assert nested.words == (
        "/srv/b/down of the stage dev of shop, which leads to /srv/a/x, lies below /srv/link"
        " (/srv/a), which the stage prod of blog may write to: the app could put a link in its"
        " place, which the engine would follow to any path of the host; bind /srv/link with :ro,"
        " or use a path that is not below it; the stage prod of blog runs with it until it is"
        " deployed again or stopped"
    )
