import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.registry.challenges import Challenge, parse_challenges

BEARER = Challenge(
    "bearer", {"realm": "https://Auth.example.com/Token", "service": "registry.example.com"}
)

TABLE: list[tuple[list[str], list[Challenge]]] = [
    ([], []),
    ([""], []),
    ([" , ,"], []),
    (['Basic realm="x"'], [Challenge("basic", {"realm": "x"})]),
    (['BASIC Realm="X y"'], [Challenge("basic", {"realm": "X y"})]),
    (["Basic"], [Challenge("basic")]),
    (["Basic realm=x"], [Challenge("basic", {"realm": "x"})]),
    (['Bearer realm="https://Auth.example.com/Token",service="registry.example.com"'], [BEARER]),
    (['bearer realm="https://Auth.example.com/Token" , service="registry.example.com"'], [BEARER]),
    (["Bearer realm=https://Auth.example.com/Token,service=registry.example.com"], [BEARER]),
    (['Bearer realm="https://a/t"'], [Challenge("bearer", {"realm": "https://a/t"})]),
    (['Bearer realm = "a" ,\tservice = b'], [Challenge("bearer", {"realm": "a", "service": "b"})]),
    (
        ['Bearer realm="a",scope="repository:x:pull,push",error="invalid_token"'],
        [
            Challenge(
                "bearer",
                {"realm": "a", "scope": "repository:x:pull,push", "error": "invalid_token"},
            )
        ],
    ),
    (
        ['Bearer realm="a",service="b", Basic realm="c"'],
        [Challenge("bearer", {"realm": "a", "service": "b"}), Challenge("basic", {"realm": "c"})],
    ),
    (
        ['Bearer realm="a"', 'Basic realm="c"'],
        [Challenge("bearer", {"realm": "a"}), Challenge("basic", {"realm": "c"})],
    ),
    (
        ['Basic realm="a \\"quoted\\", with \\\\"'],
        [Challenge("basic", {"realm": 'a "quoted", with \\'})],
    ),
    (['Basic realm="Bearer realm=x, y"'], [Challenge("basic", {"realm": "Bearer realm=x, y"})]),
    (["Negotiate, Basic realm=x"], [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
    (
        ["Negotiate YWJj==, Basic realm=x"],
        [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
    ),
    (['Basic, Bearer realm="a"'], [Challenge("basic"), Challenge("bearer", {"realm": "a"})]),
    (['Bearer realm="first",realm="second"'], [Challenge("bearer", {"realm": "first"})]),
    (['realm="of nobody", Basic realm="x"'], [Challenge("basic", {"realm": "x"})]),
    (['Bearer realm=""'], [Challenge("bearer", {"realm": ""})]),
]


@pytest.mark.parametrize(("headers", "expected"), TABLE)
def test_table(headers: list[str], expected: list[Challenge]) -> None:
    assert parse_challenges(headers) == expected


def test_a_quote_that_is_never_closed_names_no_realm() -> None:
    assert not any(
        "realm" in challenge.params
        for challenge in parse_challenges(['Bearer realm="never closed'])
    )


@given(st.lists(st.text(max_size=60), max_size=3))
def test_nothing_that_a_server_sends_raises(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_a_quoted_realm_comes_back_as_it_was(realm: str) -> None:
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_challenges([f'Bearer realm="{quoted}", Basic realm="x"']) == [
        Challenge("bearer", {"realm": realm}),
        Challenge("basic", {"realm": "x"}),
    ]
