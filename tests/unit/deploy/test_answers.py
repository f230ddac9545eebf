"""Answers by stage, while hosts come, go and move."""

from tagboat.deploy.answers import AnswersByStage


def test_the_hosts_of_a_stage_add_up() -> None:
    answers = AnswersByStage()
    answers.own({"a.test": "a", "www.test": "a", "b.test": "b"})
    found = {"a.test": {"2xx": 3}, "www.test": {"2xx": 1, "4xx": 2}, "gone.test": {"2xx": 9}}
    assert answers.update(found) == {"a": {"2xx": 4, "4xx": 2}}
    assert answers.update(found) == {"a": {"2xx": 4, "4xx": 2}}
    assert answers.update({**found, "a.test": {"2xx": 5}})["a"] == {"2xx": 6, "4xx": 2}


def test_a_host_that_leaves_a_stage_leaves_its_answers_there() -> None:
    answers = AnswersByStage()
    answers.own({"www.test": "a"})
    answers.update({"www.test": {"2xx": 3}})
    answers.own({"a.test": "a"})
    # What came between the last count and its end.
    assert answers.update({"www.test": {"2xx": 4}}) == {"a": {"2xx": 4}}
    assert answers.is_moved_by({"www.test": "b"})
    answers.own({"a.test": "a", "www.test": "b"})
    assert answers.update({"www.test": {"2xx": 10}}) == {"a": {"2xx": 4}, "b": {"2xx": 6}}


def test_only_a_host_that_had_another_stage_is_moved() -> None:
    answers = AnswersByStage()
    assert not answers.is_moved_by({"a.test": "a"})
    answers.own({"a.test": "a"})
    assert not answers.is_moved_by({"a.test": "a", "b.test": "b"})
    assert not answers.is_moved_by({})
    assert answers.is_moved_by({"a.test": "b"})


def test_an_older_count_that_comes_late_takes_nothing_away_and_counts_nothing_twice() -> None:
    answers = AnswersByStage()
    answers.own({"a.test": "a"})
    for number, total in ((5, 5), (3, 5), (6, 6)):
        assert answers.update({"a.test": {"2xx": number}})["a"] == {"2xx": total}
    given = answers.update({"a.test": {"2xx": 6}})
    answers.update({"a.test": {"2xx": 7}})
    assert given["a"] == {"2xx": 6}
