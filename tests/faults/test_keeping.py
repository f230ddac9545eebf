"""The server killed while it forgets.

Images and deploys that nobody wants go, what somebody wants stays, and both agree.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.fault_harness import FaultHarness, StageUnderTest, world
from tests.faults.points import around
from tests.support.docker_registry import DockerRegistry

_TIDYING = (
    "beside: store.write Tidying.remove#1",  # it is marked
    "beside: runtime.remove_image#1",
    "beside: store.write Tidying.remove#2",  # it is gone
)
_FORGETTING = ("beside: store.write forget_unneeded#1",)
_QUICK = "beside: runtime.remove_image#1 after"
_NEWEST = 20
_PATIENCE_S = 400.0
"""A round of removals is followed by a rest that is longer the slower the machine is."""
_SOONER_THAN_THE_MARK_S = 60.0
_TWO_DAYS_S = 2 * 86400


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, docker_registry: DockerRegistry
) -> Iterator[FaultHarness]:
    with world(tmp_path_factory.mktemp("keeping"), engine_url, docker_registry.host) as running:
        running.called("PATCH", "/api/settings", {"images_keep": 1})
        yield running


@pytest.fixture
def lane(host: FaultHarness) -> Iterator[StageUnderTest]:
    host.server.start_if_left_dead()
    made = host.lane()
    yield made
    host.called("DELETE", f"/api/projects/{made.project_id}")


def digests(host: FaultHarness, lane: StageUnderTest) -> set[str]:
    """Of the stage's images that the engine has."""
    names = [name for image in host.engine("/images/json") for name in image["RepoDigests"] or []]
    return {name.partition("@")[2] for name in names if name.startswith(f"{lane.image}@")}


def on_record(host: FaultHarness, lane: StageUnderTest) -> dict[str, str | None]:
    """Return the images that Tagboat says it has pulled, with until when they are being removed."""
    with closing(sqlite3.connect(host.server.directory / "data" / "tagboat.db")) as database:
        query = "SELECT digest, removing_until FROM pulled_images WHERE image = ?"
        return dict(database.execute(query, (lane.image,)).fetchall())


def at_rest(host: FaultHarness, lane: StageUnderTest) -> None:
    """Wait until the engine has, and the records name, the live image and no other."""
    wanted = {host.live(lane)["digest"]}
    host.server.until(
        lambda: digests(host, lane) == wanted, "the images that nobody wants to go", _PATIENCE_S
    )
    host.server.until(
        lambda: on_record(host, lane) == dict.fromkeys(wanted), "the records to say so", _PATIENCE_S
    )


def of_others_on_record(host: FaultHarness, lane: StageUnderTest) -> int:
    with closing(sqlite3.connect(host.server.directory / "data" / "tagboat.db")) as database:
        return int(
            database.execute(
                "SELECT count(*) FROM pulled_images WHERE image <> ?", (lane.image,)
            ).fetchone()[0]
        )


def dies_with(host: FaultHarness, lane: StageUnderTest, point: str) -> tuple[str, str]:
    """Have an image become unwanted, and the server die at the point; the tags of then and now."""
    old = host.live_from(lane)
    host.server.until(
        lambda: of_others_on_record(host, lane) == 0,
        "the images of earlier cases to go",
        _PATIENCE_S,
    )
    host.server.order(die_at=[point])
    tag = host.publish(lane)
    host.try_to_push(lane, tag)
    assert host.server.await_death(_PATIENCE_S), (
        f"{point} was not passed, but: {host.server.passed()}"
    )
    host.server.order()
    return old, tag


@pytest.mark.parametrize(
    "point",
    [pytest.param(p, marks=[pytest.mark.quick] if p == _QUICK else []) for p in around(_TIDYING)],
)
def test_killed_while_an_image_is_removed(
    host: FaultHarness, lane: StageUnderTest, point: str
) -> None:
    _, tag = dies_with(host, lane, point)
    host.server.start()
    host.rest(lane)
    at_rest(host, lane)
    host.assert_serves(lane, tag)


@pytest.mark.parametrize("point", around(_TIDYING))
def test_what_was_being_removed_is_deployed_again_at_once(
    host: FaultHarness, lane: StageUnderTest, point: str
) -> None:
    old, _ = dies_with(host, lane, point)
    host.server.start()
    ended = host.ended(host.push(lane, old), _SOONER_THAN_THE_MARK_S)
    assert (ended["status"], ended["reason"]) == ("succeeded", f"{old} is live"), ended
    host.rest(lane)
    at_rest(host, lane)
    host.assert_serves(lane, old)


@pytest.mark.parametrize("edge", ["before", "after"])
def test_killed_while_an_image_is_put_on_record_to_be_pulled(
    host: FaultHarness, lane: StageUnderTest, edge: str
) -> None:
    """What never came is forgotten; it was pulled by another name meanwhile, or not at all."""
    host.live_from(lane)
    host.server.order(die_at=[f"store.write note_pull#1 {edge}"])
    tag = host.publish(lane)
    host.try_to_push(lane, tag)
    assert host.server.await_death(60)
    host.server.order(die_at=["runtime.pull#1 before"])
    host.server.launch_alone()
    assert host.server.await_death(60)
    host.server.order()
    host.server.start()
    host.rest(lane)
    at_rest(host, lane)
    host.assert_serves(lane, tag)


@pytest.mark.parametrize("point", around(_FORGETTING))
def test_killed_while_old_deploys_are_forgotten(
    host: FaultHarness, lane: StageUnderTest, point: str
) -> None:
    tag = host.live_from(lane)
    made = [host.deploys(lane)[0]["id"]]
    for _ in range(_NEWEST + 3):
        made.append(host.push(lane, tag))
        assert host.ended(made[-1])["reason"] == "already live"
    host.server.order(die_at=[point], ahead_s=_TWO_DAYS_S)
    host.try_to("PATCH", "/api/settings", {"history_keep_days": 1})
    assert host.server.await_death(60), f"{point} was not passed, but: {host.server.passed()}"
    host.server.order(ahead_s=_TWO_DAYS_S)
    host.server.start()
    kept = {made[0], *made[-_NEWEST:]}  # of the first one, the container runs
    host.server.until(
        lambda: {one["id"] for one in host.deploys(lane)} == kept, "the old ones to be forgotten"
    )
    host.rest(lane)
    host.assert_serves(lane, tag)
    assert host.server.call("GET", f"/api/deploys/{made[1]}")[0] == 404
    host.called("PATCH", "/api/settings", {"history_keep_days": 365})
    host.server.order()
    host.server.restart()
