"""Names and ids that do not exist."""

import pytest

from tests.unit.cli.conftest import Tagboat


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy", "nope", "dev", "v1"], "there is no project named 'nope'; there are: app"),
        (["deploy", "app", "nope", "v1"], "there is no stage of app named 'nope'; there are: dev"),
        (["poll", "nope"], "there is no project named 'nope'; there are: app"),
        (["poll", ""], "there is no project named ''; there are: app"),
        (
            ["webhook", "rotate", "app", "nope", "--yes"],
            "there is no webhook of app named 'nope'; there are: ci",
        ),
        (["images", "nope"], "there is no registry named 'nope'; there is none yet"),
        (["logs", "app", "nope"], "there is no stage of app named 'nope'; there are: dev"),
        (["logs", "\udcff", "dev"], "there is no project named '\\udcff'; there are: app"),
    ],
)
def test_a_wrong_name_lists_the_right_ones(tagboat: Tagboat, words: list[str], said: str) -> None:
    assert tagboat.fails(*words) == said


@pytest.mark.parametrize(
    "words", [["cancel", "abc"], ["deploys", "show", "abc"], ["deploys", "logs", "abc"]]
)
def test_a_deploy_that_does_not_exist(tagboat: Tagboat, words: list[str]) -> None:
    assert tagboat.fails(*words) == "there is no deploy abc; 'tagboat deploys list' shows their ids"
