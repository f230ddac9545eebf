from datetime import UTC, datetime

import pytest

from tagboat.core.catalog import Stage, Strategy
from tagboat.core.errors import InvalidValueError
from tagboat.core.placement import (
    data_left_behind,
    names_one_node,
    parse_constraint,
    placement_trouble,
)
from tagboat.core.run import EngineKind, RunConfig, RunOptions
from tagboat.core.tags import parse_tag_pattern
from tagboat.core.values import replace

STAGE = Stage(
    id="s1",
    project_id="p1",
    name="dev",
    pattern=parse_tag_pattern("*"),
    created_at=datetime(2026, 11, 29, tzinfo=UTC),
)
PLAIN = RunConfig(port=8080, healthcheck="", env={})
KEEPS = replace(PLAIN, options=RunOptions(volumes={"data": "/data"}))
ONE_NODE = ("node.hostname==n1",)


@pytest.mark.parametrize(
    "text",
    [
        "node.labels.zone==a",
        "node.role!=manager",
        "node.hostname==n1.example.com",
        "node.platform.os==linux",
        "engine.labels.disk==ssd",
    ],
)
def test_constraints_as_docker_swarm_takes_them(text: str) -> None:
    assert parse_constraint(text) == text


@pytest.mark.parametrize(
    "text", ["", "zone==a", "node.labels.zone=a", "node.labels.zone == a", "node.role==", "a\n==b"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match=r"node\.labels\.zone==a"):
        parse_constraint(text)


def test_only_hostname_and_id_name_one_node() -> None:
    assert names_one_node(ONE_NODE)
    assert names_one_node(("node.role==worker", "node.id==abc"))
    assert not names_one_node(("node.labels.zone==a", "node.hostname!=n1"))


def test_one_machine_runs_one_task_anywhere() -> None:
    assert placement_trouble(STAGE, PLAIN, is_cluster=False) == ("", "")
    several = replace(PLAIN, replicas=2)
    field, why = placement_trouble(STAGE, several, is_cluster=False)
    assert field == "replicas"
    assert "TAGBOAT_ENGINE=swarm" in why
    placed = replace(PLAIN, constraints=ONE_NODE)
    assert placement_trouble(STAGE, placed, is_cluster=False)[0] == "constraints"


def test_the_engine_of_a_stage_is_asked_for_where_it_differs_from_the_servers() -> None:
    there = replace(PLAIN, engine=EngineKind.SWARM, replicas=2, constraints=ONE_NODE)
    assert placement_trouble(STAGE, there, is_cluster=False) == ("", "")
    assert placement_trouble(STAGE, there, is_cluster=True) == ("", "")
    keeps = replace(KEEPS, engine=EngineKind.SWARM)
    assert placement_trouble(STAGE, keeps, is_cluster=False)[0] == "constraints"
    here = replace(PLAIN, engine=EngineKind.DOCKER)
    assert placement_trouble(STAGE, here, is_cluster=False) == ("", "")
    field, why = placement_trouble(STAGE, here, is_cluster=True)
    assert field == "engine"
    assert "TAGBOAT_ENGINE=docker" in why


def test_on_a_cluster_data_needs_one_node() -> None:
    assert placement_trouble(STAGE, replace(PLAIN, replicas=2), is_cluster=True) == ("", "")
    field, why = placement_trouble(STAGE, KEEPS, is_cluster=True)
    assert field == "constraints"
    assert "/data" in why
    assert placement_trouble(STAGE, replace(KEEPS, constraints=ONE_NODE), is_cluster=True)[1] == ""


def test_on_a_cluster_an_app_that_cannot_run_twice_needs_one_node() -> None:
    stage = replace(STAGE, strategy=Strategy.RECREATE)
    assert "recreate" in placement_trouble(stage, PLAIN, is_cluster=True)[1]
    placed = replace(PLAIN, constraints=ONE_NODE)
    assert placement_trouble(stage, placed, is_cluster=True) == ("", "")


def test_what_nobody_has_set_does_not_change_the_fingerprint() -> None:
    assert PLAIN.fingerprint == replace(PLAIN, replicas=1, constraints=()).fingerprint
    assert PLAIN.fingerprint != replace(PLAIN, engine=EngineKind.SWARM).fingerprint
    assert PLAIN.fingerprint != replace(PLAIN, replicas=2).fingerprint
    assert PLAIN.fingerprint != replace(PLAIN, constraints=ONE_NODE).fingerprint


@pytest.mark.parametrize("option", ["size=50%", "uid=1000", "gid=5", "exec", "nr_inodes=1k"])
def test_a_swarm_refuses_options_of_a_tmpfs_that_it_would_drop(option: str) -> None:
    given = RunOptions(tmpfs={"/a": "size=64m,mode=1777,nosuid", "/b": f"size=1m,{option}"})
    config = replace(PLAIN, options=given)
    assert placement_trouble(STAGE, config, is_cluster=False) == ("", "")
    for found in (
        placement_trouble(STAGE, config, is_cluster=True),
        placement_trouble(STAGE, replace(config, engine=EngineKind.SWARM), is_cluster=False),
    ):
        assert found[0] == "tmpfs"
        assert f"no option {option} for /b" in found[1]


def test_volumes_that_stay_on_another_node_are_named() -> None:
    on_n1 = replace(KEEPS, constraints=("node.role==worker", "node.hostname==N1"))
    on_n2 = replace(KEEPS, constraints=("node.hostname==n2",))
    (words,) = data_left_behind(STAGE, on_n1, on_n2)
    assert "kept at /data stays on node.hostname==N1: on node.hostname==n2 the app" in words
    assert data_left_behind(STAGE, on_n1, replace(KEEPS, constraints=ONE_NODE)) == []
    (moved,) = data_left_behind(STAGE, KEEPS, replace(on_n1, engine=EngineKind.SWARM))
    assert "stays on the server's own machine" in moved
    (came_back,) = data_left_behind(STAGE, replace(on_n1, engine=EngineKind.SWARM), KEEPS)
    assert "stays on node.hostname==N1: on the server's own machine" in came_back
    kept_nothing = replace(on_n1, options=RunOptions())
    assert data_left_behind(STAGE, kept_nothing, on_n2) == []
    assert data_left_behind(STAGE, KEEPS, KEEPS) == []
