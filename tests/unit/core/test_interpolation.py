import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import InvalidValueError
from tagboat.core.interpolation import Interpolation, SecretText, holds_secret

VARIABLES = {"TAG": "v1", "EMPTY": "", "DB_PASSWORD": "hunter2", "N": "TAG"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("a:$TAG-b", "a:v1-b"),
        ("a:${TAG}b", "a:v1b"),
        ("$$TAG $${TAG}", "$TAG ${TAG}"),
        ("${GONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${GONE-x}", "x"),
        ("${TAG:-x}", "v1"),
        ("${TAG:+set}", "set"),
        ("${EMPTY:+set}", ""),
        ("${EMPTY+set}", "set"),
        ("${GONE:-${ALSO:-${TAG}}}", "v1"),
        ("${GONE:-a${TAG}}b}", "av1b}"),
        ("${TAG:?must be set}", "v1"),
        ("${TAG:-${GONE:?not asked}}", "v1"),
        ("$GONE", ""),
    ],
)
def test_variables_are_replaced(text: str, value: str) -> None:
    assert Interpolation(VARIABLES).expand(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${GONE:?give a tag}", "the variable GONE is not set: give a tag"),
        ("${EMPTY:?}", "the variable EMPTY is not set"),
        ("${GONE?no}", "GONE is not set: no"),
        ("${TAG", "without }"),
        ("a $ b", "write $$ for a dollar"),
        ("$1", "write $$ for a dollar"),
        ("${1}", "does not begin with the name"),
        ("${TAG%x}", "has neither :- nor :? nor :+"),
        ("${A:-" * 30 + "}" * 30, "nested too deeply"),
    ],
)
def test_mistakes_are_named(text: str, says: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Interpolation(VARIABLES).expand(text)
    assert says in str(caught.value)


def test_what_is_not_set_is_remembered() -> None:
    interpolation = Interpolation(VARIABLES)
    interpolation.expand("$GONE ${ALSO} ${WITH:-default} $TAG")
    assert list(interpolation.unset) == ["GONE", "ALSO"]


def test_secrets_are_known_in_what_they_become_part_of() -> None:
    expand = Interpolation(VARIABLES).expand
    url = expand("postgres://u:${DB_PASSWORD}@db")
    assert (url, type(url)) == ("postgres://u:hunter2@db", SecretText)
    assert holds_secret({"a": ["b", expand("${GONE:-$DB_PASSWORD}")]})
    assert holds_secret(expand("${GONE_TOKEN:-hunter2}"))
    assert not holds_secret(expand("${GONE_TOKEN:-}${GONE:-x}"))
    assert not holds_secret({"a": ["b", expand("${TAG}"), 1, None]})


@given(st.text(alphabet="${}:-?+aT AG\n", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidValueError):
        assert "${TAG}" not in Interpolation(VARIABLES).expand(text.replace("$$", ""))
