"""The page of all senders is what the server's own page and the formats' tests say."""

import json

from tagboat.web.sender_steps import SENDER_GUIDES
from tools.senders_page import EXAMPLES, FIXTURES, SENDERS, render_senders


def test_the_page_is_current() -> None:
    assert SENDERS.read_text() == render_senders(), "run `make reference` and commit it"


def test_each_sender_has_an_example_of_a_push() -> None:
    assert EXAMPLES.keys() == {guide.key for guide in SENDER_GUIDES}
    for case, _ in EXAMPLES.values():
        assert json.loads((FIXTURES / f"{case}.meta.json").read_text())["expect"], case


def test_steps_example_and_row_of_a_sender_are_there() -> None:
    (section,) = (one for one in render_senders().split("\n### ") if one.startswith("Quay\n"))
    for part in ("1. Open the repository", "`docker_url`", "`updated_tags`", '"updated_tags": ['):
        assert part in section
