"""Lengths of time in words."""

from datetime import timedelta

import pytest

from tagboat.core.ages import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "1 second"),
        (0, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (7_199, "1 hour"),
        (7_200, "2 hours"),
        (3 * 86_400 + 5, "3 days"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words
