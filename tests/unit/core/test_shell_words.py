"""Names of people as arguments of a command that can be copied."""

import shlex

import pytest

from tagboat.core.shell_words import shell_words


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["shop", "ci"], "shop ci"),
        (["shop", "a b"], "shop 'a b'"),
        (["shop", "- x"], "-- shop '- x'"),
        (["-x"], "-- -x"),
        (["-"], "-"),
        (["$(id); a'b"], """'$(id); a'"'"'b'"""),
        (["/srv/my data"], "'/srv/my data'"),
    ],
)
def test_a_shell_reads_them_as_they_are(texts: list[str], words: str) -> None:
    assert shell_words(*texts) == words
    assert [one for one in shlex.split(words) if one != "--"] == texts
