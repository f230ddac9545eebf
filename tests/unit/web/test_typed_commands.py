"""Commands as people type them."""

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.web.typed_commands import (
    TypedCommand,
    Verb,
    command_line,
    purpose_of,
    start_of,
    typed_command,
    use_of,
    verbs_like,
    whole_order,
)


@pytest.mark.parametrize(
    ("text", "verb", "words"),
    [
        ("", Verb.GO, ("",)),
        ("shop pr", Verb.GO, ("shop", "pr")),
        ("deploy", Verb.GO, ("deploy",)),
        ("deploy ", Verb.DEPLOY, ("",)),
        ("  Deploy  shop prod v1", Verb.DEPLOY, ("shop", "prod", "v1")),
        ("tagboat deploy shop", Verb.DEPLOY, ("shop",)),
        ("roll", Verb.GO, ("roll",)),
        ("roll b", Verb.GO, ("roll", "b")),
        ("roll back", Verb.ROLLBACK, ("",)),
        ("roll back shop prod", Verb.ROLLBACK, ("shop", "prod")),
        ("rollback shop", Verb.ROLLBACK, ("shop",)),
        ("why shop:v1", Verb.WHY, ("shop:v1",)),
        ("explain shop:v1", Verb.WHY, ("shop:v1",)),
        ("go shop", Verb.GO, ("go", "shop")),
    ],
)
def test_what_is_typed(text: str, verb: Verb, words: tuple[str, ...]) -> None:
    assert typed_command(text) == TypedCommand(verb, words)


def test_a_text_of_any_length_is_read() -> None:
    assert len(typed_command("deploy " + "x" * 100_000).word(0)) < 400


def test_verbs_by_their_beginning() -> None:
    assert verbs_like("ro") == [Verb.ROLLBACK]
    assert verbs_like("rollb") == [Verb.ROLLBACK]
    assert Verb.GO not in verbs_like("")
    assert all(use_of(verb).startswith(start_of(verb)) for verb in verbs_like(""))
    assert all(purpose_of(verb) for verb in verbs_like(""))


def test_the_command_line_can_be_copied() -> None:
    assert command_line(Verb.ROLLBACK, "shop", "prod") == "tagboat rollback shop prod"
    assert command_line(Verb.WHY, "a/b:v1") == "tagboat explain a/b:v1"
    assert command_line(Verb.DEPLOY, "shop", "prod", "$(x)") == "tagboat deploy shop prod '$(x)'"


def test_an_order_has_all_its_words() -> None:
    assert whole_order("roll back shop prod ").words == ("shop", "prod")
    with pytest.raises(InvalidValueError, match="deploy PROJECT STAGE TAG"):
        whole_order("deploy shop prod")
    with pytest.raises(InvalidValueError, match="hold PROJECT STAGE"):
        whole_order("hold shop prod now")
    for text in ("logs shop prod", "shop", ""):
        with pytest.raises(InvalidValueError, match="is not an order"):
            whole_order(text)
