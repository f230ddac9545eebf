import pytest

from tagboat.core.excerpt import as_sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("it exited", "it exited."),
        ("it exited.", "it exited."),
        ("is the URL right?", "is the URL right?"),
    ],
)
def test_a_reason_becomes_a_sentence(text: str, said: str) -> None:
    assert as_sentence(text) == said
