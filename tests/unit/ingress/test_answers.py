"""Answers of all workers, while workers come and go."""

from tagboat.ingress.answers import AnswersByHost


def test_workers_add_up_and_what_one_has_counted_stays() -> None:
    answers = AnswersByHost()
    assert answers.update({1: {"a": {"2xx": 5}}})["a"]["2xx"] == 5
    assert answers.update({1: {"a": {"2xx": 6}}, 2: {"a": {"2xx": 1}}})["a"]["2xx"] == 7
    assert answers.update({2: {"a": {"2xx": 2}, "b": {"4xx": 1}}})["a"]["2xx"] == 8
    assert answers.update({2: {"a": {"2xx": 2}}})["a"]["2xx"] == 8
