"""What a push comes to, and why."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.catalog import Project, RegistryKind, Stage
from tagboat.core.decision import Considered, decide, hidden_places, normal_tag, shadowed
from tagboat.core.image import ImageName
from tagboat.core.push import Outcome
from tagboat.core.tags import parse_tag_pattern

NOW = datetime(2026, 11, 24, tzinfo=UTC)
IMAGE = ImageName("git.example.com", "acme/app")
PROJECT = Project(id="p", name="app", image=IMAGE, created_at=NOW)


def stage(
    name: str, pattern: str, *, position: int = 0, auto_deploy: bool = True, held: bool = False
) -> Stage:
    return Stage(
        id=name,
        project_id="p",
        name=name,
        pattern=parse_tag_pattern(pattern),
        position=position,
        auto_deploy=auto_deploy,
        held=held,
        created_at=NOW,
    )


def test_the_first_stage_that_matches_wins_and_later_ones_are_not_tried() -> None:
    stages = [stage("beta", "*-beta"), stage("prod", "v*"), stage("rest", "*")]
    decision = decide(PROJECT, stages, "v1.2.3")
    assert decision.stage == stages[1]
    assert (decision.outcome, decision.reason) == (Outcome.QUEUED, "tag v1.2.3 matches v*")
    assert decision.considered == (
        Considered("beta", "*-beta", matches=False),
        Considered("prod", "v*", matches=True),
    )


def test_the_order_given_counts_and_nothing_else() -> None:
    every, prod = stage("dev", "*"), stage("prod", "v*", position=-5)
    assert decide(PROJECT, [every, prod], "v1").stage == every
    assert decide(PROJECT, [prod, every], "v1").stage == prod


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (
            stage("dev", "*", auto_deploy=False),
            "tag v1 matches *, but auto_deploy of the stage dev is off",
        ),
        (stage("dev", "*", held=True), "tag v1 matches *, but the stage dev is held"),
        (
            stage("dev", "*", held=True, auto_deploy=False),
            "tag v1 matches *, but the stage dev is held",
        ),
    ],
)
def test_a_stage_that_deploys_nothing_by_itself_lets_the_tag_wait(one: Stage, reason: str) -> None:
    decision = decide(PROJECT, [one, stage("later", "*")], "v1")
    assert (decision.outcome, decision.stage, decision.reason) == (Outcome.WAITING, one, reason)


def test_without_a_match_every_stage_was_tried_and_is_named() -> None:
    decision = decide(PROJECT, [stage("beta", "*-beta"), stage("prod", "semver:^1")], "latest")
    assert (decision.outcome, decision.stage) == (Outcome.UNMATCHED, None)
    assert (
        decision.reason
        == "tag latest matches no stage's pattern (tried beta *-beta, prod semver:^1)"
    )
    assert [considered.matches for considered in decision.considered] == [False, False]


def test_a_project_without_stages_says_so() -> None:
    decision = decide(PROJECT, [], "v1")
    assert (decision.outcome, decision.reason) == (
        Outcome.UNMATCHED,
        "the project app has no stage yet",
    )


@given(
    st.lists(st.sampled_from(["*", "v*", "x", "semver:^1", "regex:v[0-9]+"])),
    st.sampled_from(["v1", "x", "1.2.3", "y"]),
)
def test_a_decision_agrees_with_its_own_account(patterns: list[str], tag: str) -> None:
    stages = [stage(f"s{place}", pattern) for place, pattern in enumerate(patterns)]
    decision = decide(PROJECT, stages, tag)
    matches = [considered.matches for considered in decision.considered]
    if decision.stage is None:
        assert matches == [False] * len(stages)
    else:
        assert matches == [False] * (len(matches) - 1) + [True]
        assert decision.stage == stages[len(matches) - 1]


@pytest.mark.parametrize(
    ("kind", "stored"),
    [(RegistryKind.GITEA, "v1-rc"), (RegistryKind.OCI, "V1-RC"), (None, "V1-RC")],
)
def test_gitea_alone_knows_tags_in_lower_case_only(kind: RegistryKind | None, stored: str) -> None:
    assert normal_tag("V1-RC", kind) == stored


def test_a_stage_wholly_covered_by_an_earlier_one_is_warned_of_from_either_side() -> None:
    dev, prod = stage("dev", "*"), stage("prod", "v*")
    warnings = shadowed(prod, [dev, prod])
    assert warnings == shadowed(dev, [dev, prod])
    assert len(warnings) == 1
    assert "prod (v*) will never get a tag" in warnings[0]
    assert "give prod a position below 0" in warnings[0]


def test_what_is_not_wholly_covered_is_not_warned_of() -> None:
    prod, dev = stage("prod", "v*", position=-1), stage("dev", "*")
    assert shadowed(dev, [prod, dev]) == shadowed(prod, [prod, dev]) == []


def test_every_stage_that_is_covered_is_named() -> None:
    stages = [stage("a", "*"), stage("b", "v*"), stage("c", "x")]
    assert len(shadowed(stages[0], stages)) == 2
    assert len(shadowed(stages[1], stages)) == 1
    hidden = hidden_places(tuple(one.pattern for one in stages))
    for one in stages:
        assert shadowed(one, stages, hidden) == shadowed(one, stages)
