"""What a poll makes of what a registry says, and the sentence with which it says so."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.catalog import KnownTag, Project, Stage
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.image import Digest, ImageName
from tagboat.core.newest import Candidate, Order
from tagboat.core.polling import Change
from tagboat.core.push import Outcome
from tagboat.core.serving import Serving
from tagboat.core.tags import parse_tag_pattern
from tagboat.polling.tag_changes import (
    MAX_COMPARED,
    ImagesToInspect,
    InspectedImages,
    TagChanges,
    choose_new_tags,
    find_changes,
    images_to_inspect,
)
from tests.support.endpoints import at

NOW = datetime(2026, 11, 24, tzinfo=UTC)
PROJECT = Project(
    id="p", name="app", image=ImageName("git.example.com", "acme/app"), created_at=NOW
)
ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
OLDER, NEWER = NOW - timedelta(days=2), NOW - timedelta(days=1)
NOTHING = InspectedImages()
NOTHING_THERE: Mapping[str, str] = {}
Told = dict[str, tuple[str, str]]


def stage(
    name: str,
    pattern: str,
    *,
    takes: int = 1,
    held: bool = False,
    auto_deploy: bool = True,
    allow_downgrade: bool = False,
) -> Stage:
    return Stage(
        id=name,
        project_id="p",
        name=name,
        pattern=parse_tag_pattern(pattern),
        max_instances=takes,
        held=held,
        auto_deploy=auto_deploy,
        allow_downgrade=allow_downgrade,
        created_at=NOW,
    )


PROD, DEV = stage("prod", "v*"), stage("dev", "*")


def known(tag: str, digest: Digest | None = None) -> KnownTag:
    return KnownTag(project_id="p", tag=tag, digest=digest, first_seen=NOW, source="poll")


def live(tag: str, digest: Digest = ONE) -> Instance:
    return Instance(
        id=tag,
        deploy_id="d",
        project_id="p",
        stage_id="prod",
        tag=tag,
        digest=digest,
        state=InstanceState.LIVE,
        container="c",
        endpoints=(at(1),),
        fingerprint="f",
        started_at=NOW,
    )


def told(
    changes: TagChanges,
    *stages: Stage,
    inspected: InspectedImages = NOTHING,
    running: Instance | None = None,
    first: bool = False,
    has: Mapping[str, str] = NOTHING_THERE,
) -> Told:
    """The outcome and the sentence for each tag, in the order in which to act.

    `has` are the states of tags in each stage.
    """
    serving = {
        one.id: [Serving(tag, live=state == "live") for tag, state in has.items()] for one in stages
    }
    decided = choose_new_tags(
        PROJECT, stages, [running] if running else [], changes, inspected, serving, NOW, first=first
    )
    assert sorted(one.tag for one in decided) == sorted(set(changes.tags) - set(inspected.refused))
    assert {one.tag for one in decided if one.change is Change.CHANGED} == {
        tag for tag, _ in changes.changed
    }
    return {one.tag: (one.decision.outcome.value, one.decision.reason) for one in decided}


def fresh(*tags: str) -> TagChanges:
    return TagChanges(tags, ())


def test_the_first_poll_deploys_nothing_and_leaves_a_changed_digest_to_the_next() -> None:
    assert told(TagChanges(("v1", "v3"), (("v2", TWO),)), PROD, running=live("v2"), first=True) == {
        "v2": (
            "recorded",
            (
                "the digest of v2, which is live, has changed: "
                "the first poll of an image deploys none, and leaves it to the next"
            ),
        ),
        "v1": ("recorded", "the first poll of an image records its tags and deploys none"),
        "v3": ("recorded", "the first poll of an image records its tags and deploys none"),
    }


@pytest.mark.parametrize(
    ("stages", "outcome", "reason"),
    [
        ([PROD], "queued", "tag v1 matches v*"),
        (
            [stage("beta", "*-beta")],
            "unmatched",
            "tag v1 matches no stage's pattern (tried beta *-beta)",
        ),
        ([], "unmatched", "the project app has no stage yet"),
        (
            [stage("prod", "v*", held=True)],
            "waiting",
            "tag v1 matches v*, but the stage prod is held",
        ),
        (
            [stage("prod", "v*", auto_deploy=False)],
            "waiting",
            "tag v1 matches v*, but auto_deploy of the stage prod is off",
        ),
    ],
)
def test_one_new_tag_is_decided_on_like_a_push(
    stages: list[Stage], outcome: str, reason: str
) -> None:
    assert told(fresh("v1"), *stages) == {"v1": (outcome, reason)}


@pytest.mark.parametrize(
    ("tags", "inspected", "left", "taken"),
    [
        (
            ("v1.10.0", "v1.9.0"),
            NOTHING,
            "tag v1.9.0 matches *, but v1.10.0 is the higher version and the stage dev takes one",
            "tag v1.10.0 matches * and is the newest of 2 found",
        ),
        (
            ("blue", "green"),
            InspectedImages({"blue": NEWER, "green": OLDER}),
            "tag green matches *, but blue was built later and the stage dev takes one",
            "tag blue matches * and is the newest of 2 found",
        ),
        (
            ("blue", "green"),
            InspectedImages({"blue": NEWER}),
            (
                "tag blue matches *, but green was found with it and sorts after it, "
                "and neither versions nor dates show "
                "which is newer, and the stage dev takes one"
            ),
            "tag green matches * and is the newest of 2 found",
        ),
        (
            ("image", "z-cache"),
            InspectedImages(
                not_images={
                    "z-cache": "r/a:z-cache is not a container image: it is a build's cache"
                }
            ),
            (
                "tag z-cache matches *, "
                "but r/a:z-cache is not a container image: it is a build's cache"
            ),
            "tag image matches *",
        ),
    ],
)
def test_of_several_in_one_stage_the_others_are_told_what_went_before_them(
    tags: tuple[str, str], inspected: InspectedImages, left: str, taken: str
) -> None:
    assert list(told(fresh(*tags), DEV, inspected=inspected).values()) == [
        ("recorded", left),
        ("queued", taken),
    ]


def test_no_rule_is_named_where_a_tag_is_behind_only_by_way_of_others() -> None:
    """v1 was built after main; but it is behind v2, and v2 behind main."""
    inspected = InspectedImages({"v1": NOW, "v2": OLDER, "main": NEWER})
    said = told(fresh("v1", "v2", "main"), DEV, inspected=inspected)
    assert [reason for _, reason in said.values()] == [
        "tag v1 matches *, but main is newer and the stage dev takes one",
        "tag v2 matches *, but main was built later and the stage dev takes one",
        "tag main matches * and is the newest of 3 found",
    ]


def test_a_stage_of_several_instances_takes_as_many_and_the_newest_last() -> None:
    assert told(fresh("v3", "v1", "v2", "x"), stage("prod", "v*", takes=2)) == {
        "x": ("unmatched", "tag x matches no stage's pattern (tried prod v*)"),
        "v1": (
            "recorded",
            "tag v1 matches v*, but v2 is the higher version and the stage prod takes 2",
        ),
        "v2": ("queued", "tag v2 matches v* and is among the 2 newest of 3 found"),
        "v3": ("queued", "tag v3 matches v* and is among the 2 newest of 3 found"),
    }
    assert told(fresh("v1", "v2"), stage("prod", "v*", takes=2))["v1"] == (
        "queued",
        "tag v1 matches v*",
    )


def test_each_stage_chooses_for_itself() -> None:
    said = told(fresh("v1", "a", "v2", "b"), PROD, DEV)
    assert {tag for tag, (outcome, _) in said.items() if outcome == "queued"} == {"v2", "b"}


def test_of_what_comes_while_a_stage_is_held_the_newest_is_kept() -> None:
    assert told(fresh("v2", "v1"), stage("prod", "v*", held=True)) == {
        "v1": (
            "recorded",
            "tag v1 matches v*, but v2 is the higher version and the stage prod takes one",
        ),
        "v2": ("waiting", "tag v2 matches v*, but the stage prod is held"),
    }


def test_a_stage_that_never_deploys_by_itself_offers_every_tag() -> None:
    said = told(fresh("v2", "v1"), stage("prod", "v*", auto_deploy=False))
    assert [outcome for outcome, _ in said.values()] == ["waiting", "waiting"]


@pytest.mark.parametrize(
    ("running", "stages", "reason"),
    [
        (live("main"), [DEV], "the digest of main, which is live, has changed: tag main matches *"),
        (
            None,
            [stage("edge", "main")],
            "the digest of main, which the stage edge names, has changed: tag main matches main",
        ),
        (
            live("main"),
            [PROD],
            (
                "the digest of main, which is live, has changed: "
                "tag main matches no stage's pattern (tried prod v*)"
            ),
        ),
    ],
)
def test_a_changed_digest_says_why_it_is_news(
    running: Instance | None, stages: list[Stage], reason: str
) -> None:
    ((_, said),) = told(TagChanges((), (("main", TWO),)), *stages, running=running).values()
    assert said == reason


def test_a_changed_digest_and_a_new_tag_compete() -> None:
    left, taken = told(TagChanges(("v2",), (("v1", TWO),)), DEV, running=live("v1")).values()
    passed_over = "tag v1 matches *, but v2 is the higher version and the stage dev takes one"
    assert left == ("recorded", f"the digest of v1, which is live, has changed: {passed_over}")
    assert taken == ("queued", "tag v2 matches * and is the newest of 2 found")


@pytest.mark.parametrize(
    ("tags", "stages", "asked"),
    [
        (("v1", "v2"), [DEV], ["v2"]),
        (("v1", "main"), [DEV], ["v1", "main"]),
        (("main",), [DEV], ["main"]),
        (("main", "v1"), [PROD], ["v1"]),
        (("a", "v1", "b"), [PROD, DEV], ["a", "b", "v1"]),
        (("a", "b"), [stage("dev", "*", auto_deploy=False)], []),
        (("a", "b"), [stage("dev", "*", held=True)], ["a", "b"]),
    ],
)
def test_images_are_looked_at_where_the_tags_do_not_tell_and_before_they_are_deployed(
    tags: tuple[str, ...], stages: list[Stage], asked: list[str]
) -> None:
    assert sorted(
        map(str, images_to_inspect(PROJECT, stages, fresh(*tags), NOTHING, {}, NOW).images)
    ) == sorted(asked)


def test_what_is_chosen_instead_of_what_is_not_an_image_is_looked_at_too() -> None:
    inspected, asked = NOTHING, list[Serving | str]()
    while wanted := images_to_inspect(
        PROJECT, [DEV], fresh("1.0.0", "1.1.0", "1.2.0"), inspected, {}, NOW
    ).images:
        asked += wanted
        (tag,) = wanted
        inspected = inspected.merge(
            InspectedImages(
                not_images={"1.2.0": "a chart"} if tag == "1.2.0" else {},
                seen=frozenset({str(tag)}),
            )
        )
    assert asked == ["1.2.0", "1.1.0"]
    said = told(fresh("1.0.0", "1.1.0", "1.2.0"), DEV, inspected=inspected)
    assert said["1.2.0"] == ("recorded", "tag 1.2.0 matches *, but a chart")
    assert said["1.1.0"] == ("queued", "tag 1.1.0 matches * and is the newest of 2 found")


def test_what_is_not_an_image_is_recorded_even_alone() -> None:
    assert told(fresh("sbom"), DEV, inspected=InspectedImages(not_images={"sbom": "an SBOM"})) == {
        "sbom": ("recorded", "tag sbom matches *, but an SBOM")
    }


def test_what_the_registry_refuses_is_left_for_the_next_poll_and_hides_no_other() -> None:
    assert told(
        fresh("v1", "v2"), PROD, inspected=InspectedImages(refused={"v2": "status 412"})
    ) == {"v1": ("queued", "tag v1 matches v*")}


BACK = "a poll goes back only where allow_downgrade is set on the stage"


@pytest.mark.parametrize(
    ("pattern", "new", "has", "inspected", "outcome", "reason"),
    [
        (
            "v*",
            "v1",
            {"v2": "live"},
            NOTHING,
            "recorded",
            f"but v2, which is live, is the higher version; {BACK} s",
        ),
        (
            "v*",
            "v1",
            {"v2": "open"},
            NOTHING,
            "recorded",
            f"but v2, which is under way, is the higher version; {BACK} s",
        ),
        (
            "semver:*",
            "1.9.5",
            {"2.0.0": "live"},
            NOTHING,
            "recorded",
            "but 2.0.0, which is live, is the higher version",
        ),
        (
            "v*",
            "v9.1",
            {"v10": "live"},
            NOTHING,
            "recorded",
            "but v10, which is live, is the higher version",
        ),
        (
            "*",
            "ab",
            {"cd": "live"},
            InspectedImages({"ab": OLDER, "cd": NEWER}),
            "recorded",
            "but cd, which is live, was built later",
        ),
        (
            "*",
            "ab",
            {"cd": "live"},
            InspectedImages({"ab": NEWER, "cd": OLDER}),
            "queued",
            "tag ab matches *",
        ),
        (
            "*",
            "ab",
            {"cd": "live"},
            InspectedImages({"ab": OLDER}),
            "queued",
            "it was found after cd, which is live, and nothing else",
        ),
        ("v*", "v3", {"v2": "live"}, NOTHING, "queued", "tag v3 matches v*"),
        (
            "v*",
            "v3",
            {"v2": "live", "v4": "open"},
            NOTHING,
            "recorded",
            "but v4, which is under way, is the higher version",
        ),
    ],
)
def test_a_poll_never_goes_back(
    pattern: str,
    new: str,
    has: Mapping[str, str],
    inspected: InspectedImages,
    outcome: str,
    reason: str,
) -> None:
    ((said, why),) = told(fresh(new), stage("s", pattern), inspected=inspected, has=has).values()
    assert said == outcome
    assert reason in why
    ((said, why),) = told(
        fresh(new), stage("s", pattern, allow_downgrade=True), inspected=inspected, has=has
    ).values()
    assert (said, why) == ("queued", f"tag {new} matches {pattern}")


def test_what_is_live_is_looked_at_where_names_do_not_tell() -> None:
    there = Serving("cd", live=True, digest=ONE)
    rows: list[tuple[str, Serving, list[Serving | str], bool]] = [
        ("ab", there, ["ab", there], True),
        ("v2", Serving("v1", live=True), ["v2"], False),
        ("v1", Serving("v2", live=True), [], False),
    ]
    for new, has, images, needed_to_choose in rows:
        assert images_to_inspect(
            PROJECT, [DEV], fresh(new), NOTHING, {"dev": [has]}, NOW
        ) == ImagesToInspect(images, needed_to_choose=needed_to_choose)


def test_a_stage_of_several_has_room_for_an_older_one_until_it_is_full() -> None:
    two = stage("s", "v*", takes=2)
    assert told(fresh("v1"), two, has={"v2": "live"})["v1"] == ("queued", "tag v1 matches v*")
    assert told(fresh("v1"), two, has={"v2": "live", "v3": "live"})["v1"][0] == "recorded"
    assert told(fresh("v4"), two, has={"v2": "live", "v3": "live"})["v4"][0] == "queued"


def test_a_moved_tag_is_not_held_against_itself() -> None:
    said = told(
        TagChanges((), (("main", TWO),)),
        DEV,
        running=live("main"),
        has={"main": "live"},
        inspected=InspectedImages({"main": OLDER}),
    )
    assert said["main"] == (
        "queued",
        "the digest of main, which is live, has changed: tag main matches *",
    )


def test_a_commit_without_letters_is_told_by_the_tags_known_before() -> None:
    alone, among = fresh("1111111"), TagChanges(("1111111",), (), ("9c1d2e3", "latest"))
    there = {"dev": [Serving("9999999", live=True)]}
    assert images_to_inspect(PROJECT, [DEV], alone, NOTHING, there, NOW).images == []
    assert images_to_inspect(PROJECT, [DEV], among, NOTHING, there, NOW).needed_to_choose


def test_commits_that_happen_to_have_digits_only_are_commits_among_very_many() -> None:
    tags = [f"{n * 17:07x}" for n in range(0x7000, 0x8000)]
    wanted = images_to_inspect(PROJECT, [DEV], fresh(*tags), NOTHING, {}, NOW)
    assert (len(wanted.images), wanted.needed_to_choose) == (MAX_COMPARED, True)


def test_of_very_many_whose_names_do_not_tell_some_are_compared_and_the_reason_says_so() -> None:
    tags = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}x" for n in range(MAX_COMPARED + 50)]
    assert (
        len(images_to_inspect(PROJECT, [DEV], fresh(*tags), NOTHING, {}, NOW).images)
        == MAX_COMPARED
    )
    said = [reason for outcome, reason in told(fresh(*tags), DEV).values()]
    assert (
        sum(f"only the {MAX_COMPARED} that sort last are compared" in reason for reason in said)
        == 50
    )


@pytest.mark.parametrize(
    ("digests", "on_record", "running", "changes"),
    [
        ({}, {"v1": known("v1")}, [], TagChanges(("v2",), ())),
        (
            {"v1": ONE},
            {"v1": known("v1"), "v2": known("v2")},
            [],
            TagChanges((), ()),
        ),  # seen for the first time
        (
            {"v1": TWO},
            {"v1": known("v1", ONE), "v2": known("v2")},
            [],
            TagChanges((), (("v1", TWO),)),
        ),
        (
            {"v1": TWO},
            {"v1": known("v1"), "v2": known("v2")},
            [live("v1")],
            TagChanges((), (("v1", TWO),)),
        ),
        (
            {"v1": TWO},
            {"v1": known("v1", TWO), "v2": known("v2")},
            [live("v1")],
            TagChanges((), ()),
        ),
    ],
)
def test_news_is_what_is_new_and_what_changed(
    digests: Mapping[str, Digest],
    on_record: Mapping[str, KnownTag],
    running: list[Instance],
    changes: TagChanges,
) -> None:
    assert find_changes(["v1", "v2"], digests, on_record, running) == changes


@given(
    st.lists(
        st.sampled_from(["v1", "v1.0.0", "v2", "v1.5", "main", "dev", "x"]), min_size=1, unique=True
    ),
    st.dictionaries(st.sampled_from(["v1", "v2", "main", "dev"]), st.sampled_from([OLDER, NEWER])),
    st.integers(1, 3),
)
def test_as_many_are_deployed_as_the_stage_takes_and_they_are_the_newest(
    tags: list[str], created: dict[str, datetime], takes: int
) -> None:
    decided = choose_new_tags(
        PROJECT,
        [stage("dev", "*", takes=takes)],
        [],
        fresh(*tags),
        InspectedImages(created),
        {},
        NOW,
        first=False,
    )
    due = [one.tag for one in decided if one.decision.outcome is Outcome.QUEUED]
    order = Order(DEV.pattern, [Candidate(tag, created.get(tag)) for tag in tags], NOW)
    assert due == [one.tag for one in order.first(takes)][::-1]
    assert [one.decision.outcome for one in decided] == [Outcome.RECORDED] * (
        len(tags) - len(due)
    ) + [Outcome.QUEUED] * len(due)
