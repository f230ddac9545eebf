"""Words about sessions and rights."""

import pytest

from tagboat.operations.rights import ProjectRef
from tagboat.web.session_words import browser_words, limit_words

CHROME = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (CHROME.format("Windows NT 10.0; Win64; x64"), "Chrome on Windows"),
        (CHROME.format("Linux; Android 15"), "Chrome on Android"),
        (CHROME.format("X11; Linux x86_64") + " Edg/131.0", "Edge on Linux"),
        ("(X11; Linux x86_64; rv:132.0) Firefox/132.0", "Firefox on Linux"),
        ("(iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl"),
        ("a test", "a test"),
        ("", "an unknown browser"),
        ("x" * 200, "x" * 60),
    ],
)
def test_browsers_are_named_as_people_do(agent: str, shown: str) -> None:
    assert browser_words(agent) == shown


def test_limits_name_projects() -> None:
    assert limit_words(None) == "all projects"
    assert limit_words((ProjectRef("1", "app"), ProjectRef("2", "shop"))) == "app, shop"
    assert limit_words(()) == "no project any more"
