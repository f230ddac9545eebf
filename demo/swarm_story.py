"""The story of a swarm: two tasks on two of three nodes, an update, and a node that dies."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demo.sample_project import SampleProject, expect, report
from demo.server import Server, page
from demo.show import doing, say, title
from demo.swarm_cluster import HUB, Cluster
from demo.swarm_node import Node
from demo.waiting import await_value
from demo.witness import Witness

PROJECT = "hello"
REPOSITORY = f"demo/{PROJECT}"
REPLICAS = 2
_MOST_LOST = 20
"""Lost requests until the ingress notices, of a client that sends one at a time."""
_AFTERWARDS = 100
"""Requests to send once the node is known to be down."""
_BACK_S = 120.0
_STAGE = {"name": "dev", "tag_pattern": "*", "replicas": REPLICAS, "watch_s": 3}


@dataclass(frozen=True, slots=True)
class SwarmEnd:
    """The state in which the story ends: the address of the stage, and the node that is off."""

    address: str
    off: Node


@dataclass(frozen=True, slots=True)
class SwarmStory:
    """The story, with a running swarm and a server that deploys to it."""

    cluster: Cluster
    server: Server

    @property
    def app(self) -> SampleProject:
        """The image that it pushes, from the swarm's network."""
        return SampleProject(
            self.server,
            self.cluster.registry,
            REPOSITORY,
            lambda work: self.cluster.in_network(HUB, work),
        )

    def tell(self) -> SwarmEnd:
        """Run the whole story; raise DemoError if it fails."""
        stage = self._bring_first()
        title(
            "From now on a client requests the page without a pause, each time on a new connection"
        )
        say(f"It requests {stage['address']}, where HAProxy answers, and sends them to both tasks.")
        with Witness(stage["address"]) as witness:
            title("v2: a new version, while requests come in")
            with doing("") as line:
                self._bring(stage, "v2")
                line.text = f"v2 is live on {self._where()}; v1 has finished its requests"
            updated = report(witness, "v1 → v2", {"v1", "v2"})
            off = self._lose_node()
            until = report(
                witness, f"until both tasks ran again without {off.name}", {"v2"}, _MOST_LOST
            )
            await_value(
                lambda: witness.asked >= _AFTERWARDS or None, _BACK_S, f"{_AFTERWARDS} requests"
            )
            after = report(witness, "since then", {"v2"})
        expect(self.server.live(stage["id"]), stage, "v2")
        sent = sum(seen.asked for seen in (updated, until, after))
        title(
            f"The client sent {sent} requests: {updated.lost} lost by the update, {until.lost} as "
            f"{off.name} died, {after.lost} since"
        )
        return SwarmEnd(str(stage["address"]), off)

    def _bring_first(self) -> Any:  # noqa: ANN401 - JSON
        title(f"v1: an app with {REPLICAS} replicas")
        project = {"name": PROJECT, "image": self.app.image, "healthcheck": "/health"}
        with doing("") as line:
            made = self.server.call("POST", "/api/projects", {**project, "port": 8080})
            stage = self.server.call("POST", f"/api/projects/{made['id']}/stages", _STAGE)
            self._bring(stage, "v1")
            said = page(stage["address"])
            line.text = f"v1 is live on {self._where()}: {stage['address']} says “{said}”"
        say("Its nodes have pulled the image themselves. Each task answers at a port of its node.")
        return stage

    def _bring(self, stage: Any, tag: str) -> None:  # noqa: ANN401 - JSON
        """Push and deploy `tag`, and see that it serves with all of its tasks."""
        self.app.push(tag)
        expect(self.server.await_live(self.app.call_webhook(tag)), stage, tag)
        self._await_tasks()

    def _lose_node(self) -> Node:
        title("A node is switched off: its cable is out, and its engine is killed with all tasks")
        leader = self.cluster.leader()
        with_task = self.cluster.task_nodes(PROJECT)
        # Without the leader, the managers would have to elect another one first.
        off = next(node for node in with_task if node is not leader)
        began = time.monotonic()
        with doing("") as line:
            off.lose_power()
            # Until the managers notice, they say that its task runs.
            self._await_tasks(without=off)
            took = time.monotonic() - began
            line.text = f"{off.name} is off; {took:.0f} s later both tasks run on {self._where()}"
        say("The swarm started its task again. The ingress checks each task every second.")
        return off

    def _await_tasks(self, without: Node | None = None) -> None:
        def look() -> bool | None:
            nodes = self.cluster.task_nodes(PROJECT, ready=True)
            return True if has_all(nodes, without) else None

        await_value(look, _BACK_S, f"the start of {REPLICAS} tasks")

    def _where(self) -> str:
        return " and ".join(node.name for node in self.cluster.task_nodes(PROJECT, ready=True))


def has_all(nodes: Sequence[Node], without: Node | None) -> bool:
    """Return whether all tasks run, as `nodes` has the node of each, and none on `without`."""
    return len(nodes) == REPLICAS and without not in nodes
