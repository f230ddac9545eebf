"""The reference of the commands is what the commands say."""

from tools.reference import COMMANDS, render


def test_the_reference_is_current() -> None:
    assert COMMANDS.read_text() == render(), "run `make reference` and commit it"


def test_it_has_usage_options_and_examples() -> None:
    text = render()
    assert "## tagboat stages add\n\n```\ntagboat stages add PROJECT STAGE [OPTIONS]\n```\n" in text
    assert "| `--pattern" in text
    assert "## tagboat stages ls\n" not in text
