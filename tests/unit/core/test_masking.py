"""What an app keeps secret is not repeated."""

import pytest

from tagboat.core.harmless import harmless
from tagboat.core.masking import mask_values


@pytest.mark.parametrize(
    ("text", "values", "masked"),
    [
        ("refused: s3cret-token", ["s3cret-token"], "refused: ***"),
        ("s3cret-token, s3cret-token", ["s3cret-token", "s3cret"], "***, ***"),
        ("key is LINE-ONE here", ["-----\nLINE-ONE\nLINE-TWO\n"], "key is *** here"),
        ("refused: s3cret-t…", ["s3cret-token"], "refused: ***…"),
        ("refused: s3cret-t", ["s3cret-token"], "refused: s3cret-t"),
        # Short ones as words of their own: in the middle of others they would tell more.
        ("SH=ab, ab.", ["ab"], "SH=***, ***."),
        ("tab ab_ cab 1ab", ["ab"], "tab ab_ cab 1ab"),
        ("a yes is a yes", ["a", "yes", ""], "*** *** is *** ***"),
        ("pin: p$ss, p$ssed", ["p$ss"], "pin: ***, p$ssed"),
        ("{ ab, }", ["{\nab\n}", "}", "--"], "{ ab, }"),
        ("x{ key-of-it }", ["{\nkey-of-it\n}"], "x***"),
        (
            "was:\nthird\nline-two\nfour\nend",
            ["third\nline-two\nfour\n"],
            "was:\n***\n***\n***\nend",
        ),
        ('{"key": "{\\nab\\n}"}', ["{\nab\n}"], '{"key": "***"}'),
        ("48151", ["48151\n62342\n"], "***"),
        ("PINS=48151\n62342, 481510", ["48151\n62342\n"], "PINS=***\n***, 481510"),
        ("nothing", [], "nothing"),
        (
            "one s3cret-token\ntwo s3cret-t … (line cut)\nthree",
            ["s3cret-token"],
            "one ***\ntwo *** … (line cut)\nthree",
        ),
        ("LINE-ONE\nLINE-TWO\n-----", ["-----\nLINE-ONE\nLINE-TWO\n"], "***\n***\n-----"),
        ("LINE-ONE\\nLINE-TWO", ["LINE-ONE\nLINE-TWO"], "***"),
        ('{"key": "a\\"quoted\\\\one"}', ['a"quoted\\one'], '{"key": "***"}'),
        ('{"key": "gr\\u00fcnes Licht"}', ["grünes Licht"], '{"key": "***"}'),
        ('{"key": "grünes\\tLicht"}', ["grünes\tLicht"], '{"key": "***"}'),
    ],
)
def test_values_are_masked(text: str, values: list[str], masked: str) -> None:
    assert mask_values(text, values) == masked


@pytest.mark.parametrize(
    "value",
    ["red\x1b[31m-s3cret", "bell\x07-s3cret", "two  spaces  s3cret", "tab\ts3cret", "\x07s3cret-"],
)
def test_a_value_is_masked_as_it_is_shown(value: str) -> None:
    assert mask_values(harmless(f"KEY={value}."), [value]) == "KEY=***."
    assert mask_values(" ".join(harmless(f"KEY={value}").split()), [value]) == "KEY=***"
