"""The sentences around an order."""

from tagboat.web.order_words import order_words
from tagboat.web.typed_commands import whole_order


def test_each_order_asks_and_says_what_it_names() -> None:
    for text in (
        "deploy shop prod v1",
        "roll back shop prod",
        "promote shop dev prod",
        "hold shop prod",
        "release shop prod",
        "restart shop prod",
        "stop shop prod",
        "start shop prod",
        "cancel shop prod",
    ):
        said = order_words(whole_order(text))
        assert said.question.endswith("?")
        assert all(word in said.question for word in ("shop", "prod"))
        assert said.sentence.endswith(".")
        assert said.done.endswith(".")
        assert said.is_risky == text.startswith(("roll", "cancel", "stop"))
