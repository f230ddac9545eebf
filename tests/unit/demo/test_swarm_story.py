"""The end of a move: all tasks run, and none on the node that is off."""

from pathlib import Path

import pytest

from demo.swarm_cluster import Cluster
from demo.swarm_story import REPLICAS, has_all


@pytest.mark.parametrize(
    ("names", "off", "all_there"),
    [
        (["n1", "n3"], None, True),
        (["n1", "n3"], "n2", True),
        (["n3", "n3"], "n2", True),
        # The managers have not noticed yet.
        (["n2", "n3"], "n2", False),
        (["n3"], "n2", False),
        (["n1", "n2", "n3"], None, False),
    ],
)
def test_tasks_have_moved_when_all_run_elsewhere(
    tmp_path: Path, names: list[str], off: str | None, all_there: bool
) -> None:
    cluster = Cluster(3, 3, tmp_path, "tbs-of-a-test")
    nodes = [cluster.node(name) for name in names]
    assert has_all(nodes, cluster.node(off) if off else None) is all_there
    assert REPLICAS == 2
