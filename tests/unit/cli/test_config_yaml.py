import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagboat.cli.config_yaml import (
    FILE_HEAD,
    MAX_FILE_CHARACTERS,
    YamlFileError,
    read_config_text,
    write_config_text,
)
from tagboat.core.harmless import harmless

SHOP = ("projects", "shop")


def test_plain_words_are_read_as_people_mean_them() -> None:
    content = read_config_text(
        "projects:\n"
        "  shop:\n"
        "    env: {COUNTRY: NO, ZIP: 01234, DEBUG: true, EMPTY: '', DAY: 2026-11-29, F: 1.0}\n"
        "    publish: [22:22]\n"
        "    user: no\n"
        "    read_only: true\n"
        "    cpus: 1.5\n"
        "    pids: 5\n"
        "    ttl_h:\n",
        "f",
    )
    assert content.document["projects"]["shop"] == {
        "env": {
            "COUNTRY": "NO",
            "ZIP": "01234",
            "DEBUG": "true",
            "EMPTY": "",
            "DAY": "2026-11-29",
            "F": "1.0",
        },
        "publish": ["22:22"],
        "user": "no",
        "read_only": True,
        "cpus": 1.5,
        "pids": 5,
        "ttl_h": None,
    }
    assert content.place((*SHOP, "env", "ZIP")) == "f:3"
    assert content.place((*SHOP, "env", "GONE")) == "f:3"
    assert content.place_of("projects.shop.publish.0") == "f:4"
    assert content.place_of("elsewhere") == "f:1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f:4: the key 'c' is there twice, first on line 3"),
        ("a: 1\n\tb: 2\n", "f:2: not valid YAML"),
        ("a: [\n", "not valid YAML"),
        ("- a\n", "f:1: must be a map"),
        ("", "f: the file is empty"),
        ("# nothing\n", "f: the file is empty"),
        ("a: 1\n---\nb: 1\n", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]\n", "f:1: tags such as"),
        ("a: !secret x\n", "f:1: tags such as"),
        ("{[a]: 1}\n", "f:1: a key must be a word"),
        ("a: *gone\n", "not valid YAML"),
        ("a: &a\n  b: *a\n", "nested too deeply"),
        ("a: " + "[" * 5000, "f: "),
        ("a: " + "[" * 50 + "]" * 50, "nested too deeply"),
        ("a: &a [1]\n<<: *a\n", "<< needs a map"),
        ("projects: {shop: {env: {A: }}}\n", 'A has no value; write "" for an empty one'),
        ("projects:\n  shop:\n    env: {A: null}\n", 'empty one, or "null" for that word'),
        ("projects:\n  shop: \x00\n", ":2: not valid YAML: special characters are not allowed"),
        ("a\x00: 1\n", "not valid YAML"),
        ("x" * (MAX_FILE_CHARACTERS + 1), "f: longer than"),
        (
            "".join(
                f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else '1')}]\n" for n in range(9)
            ),
            "too long with its anchors",
        ),
    ],
)
def test_what_is_not_usable_names_its_line(text: str, says: str) -> None:
    with pytest.raises(YamlFileError) as caught:
        read_config_text(text, "f")
    assert says in str(caught.value)


def test_anchors_and_merges_are_resolved() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 1, x: 5}]}\n"
    assert read_config_text(text, "f").document == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2, "z": 1},
    }


# Those that turn the direction of writing are too few to be met by chance.
STRINGS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        st.sampled_from('\u202e\u2066\u200f\\"\x9b'),
    ),
    max_size=30,
)
VALUES = st.one_of(
    STRINGS, st.booleans(), st.integers(-(10**6), 10**6), st.lists(STRINGS, max_size=3)
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(STRINGS.filter(lambda key: key != "<<"), VALUES, min_size=1, max_size=5),
    st.dictionaries(STRINGS.filter(lambda key: key != "<<"), STRINGS, max_size=5),
)
def test_what_is_written_is_read_again(values: dict[str, object], env: dict[str, str]) -> None:
    document = {"settings": values, "projects": {"shop": {"env": env}}}
    text = write_config_text(document)
    assert text.startswith(FILE_HEAD)
    # It is printed as it is.
    assert harmless(text) == text
    assert read_config_text(text, "f").document == document


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:- \n\t[]{}&*!|>'\"#%@,?0.<~é\u2028", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(YamlFileError):
        assert isinstance(read_config_text(text, "f").document, dict)
