"""What an app keeps secret is not repeated."""

import pytest

from tagboat.core.masking import mask_values


@pytest.mark.parametrize(
    ("text", "values", "masked"),
    [
        ("refused: s3cret-token", ["s3cret-token"], "refused: ***"),
        ("s3cret-token, s3cret-token", ["s3cret-token", "s3cret"], "***, ***"),
        ("key is LINE-ONE here", ["-----\nLINE-ONE\nLINE-TWO\n"], "key is *** here"),
        ("refused: s3cret-t…", ["s3cret-token"], "refused: ***…"),
        ("refused: s3cret-t", ["s3cret-token"], "refused: s3cret-t"),
        ("a yes is a yes", ["a", "yes", ""], "a yes is a yes"),  # too short to be masked without telling more
        ("nothing", [], "nothing"),
        ("one s3cret-token\ntwo s3cret-t … (line cut)\nthree", ["s3cret-token"], "one ***\ntwo *** … (line cut)\nthree"),
        ("LINE-ONE\nLINE-TWO\n-----", ["-----\nLINE-ONE\nLINE-TWO\n"], "***\n***\n-----"),
        ("LINE-ONE\\nLINE-TWO", ["LINE-ONE\nLINE-TWO"], "***\\n***"),
    ],
)
def test_values_are_masked(text: str, values: list[str], masked: str) -> None:
    assert mask_values(text, values) == masked
