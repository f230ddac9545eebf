"""Tagboat and its ingress on a host of a swarm's network, and a stage there under load."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.swarm_cluster import Cluster
from demo.swarm_node import Node
from tests.support.images import push_image
from tests.support.server import Server, running_server

EDGE = "edge"
INGRESS_PORT = 7080
QUICK = {"tag_pattern": "*", "watch_s": 1, "drain_timeout_s": 5}


@dataclass
class SwarmLane:
    """One stage of one project on a swarm. The test is in the network of the host EDGE."""

    cluster: Cluster
    server: Server
    image: str
    stage: str
    port: int = INGRESS_PORT

    @property
    def name(self) -> str:
        return self.image.rpartition("/")[2]

    @property
    def host(self) -> str:
        return f"{self.name}-dev.localhost"

    def publish(self, tag: str, **app: Any) -> str:  # noqa: ANN401 - whatever the sample app takes
        host, _, repository = self.image.partition("/")
        return push_image(host, repository, tag, **{"body": tag, **app})

    def order(self, tag: str) -> str:
        """Order a deploy; return its id."""
        body = {"tag": tag}
        status, deploy = self.server.call("POST", f"/api/stages/{self.stage}/deploys", body)
        assert status == 202, deploy
        return str(deploy["id"])

    def bring(self, tag: str, status: str = "succeeded", **app: Any) -> dict[str, Any]:  # noqa: ANN401
        """Publish `tag`, deploy it, and see it end."""
        self.publish(tag, **app)
        ended = self.server.ended(self.order(tag))
        assert ended["status"] == status, (ended, self.server.log()[-4000:])
        return ended

    def live(self) -> dict[str, Any]:
        """The live instance."""
        found = self.server.items(f"/api/instances?stage={self.stage}")
        (live,) = [one for one in found if one["state"] == "live"]
        return dict(live)

    def services(self) -> list[dict[str, Any]]:
        return self.cluster.services(self.name)

    def nodes_with_tasks(self) -> list[Node]:
        """The nodes on which its tasks run, each once, in the order of their names."""
        return list(dict.fromkeys(self.cluster.task_nodes(self.name)))

    def running_tasks(self) -> int:
        """How many of its tasks are to run, and do, on nodes that answer."""
        return len(self.cluster.task_nodes(self.name, ready=True))


@contextmanager
def swarm_server(cluster: Cluster, directory: Path, **environ: str) -> Iterator[Server]:
    """Run Tagboat with the ingress on the host EDGE, which the caller has entered."""
    ours = {
        "TAGBOAT_ENGINE": "swarm",
        "TAGBOAT_INGRESS": "haproxy",
        "TAGBOAT_INGRESS_LISTEN": f"127.0.0.1:{INGRESS_PORT}",
    }
    with running_server(directory, cluster.manager_urls, **{**ours, **environ}) as server:
        registry = {"name": "lan", "url": f"http://{cluster.registry}", "kind": "oci"}
        status, answer = server.call("POST", "/api/registries", registry)
        assert status == 201, answer
        yield server


def new_swarm_lane(
    cluster: Cluster,
    server: Server,
    registry: str = "",
    **fields: Any,  # noqa: ANN401 - any field of a stage
) -> SwarmLane:
    """Make a project with a stage of two replicas, or as `fields` say.

    Its image is in the registry at that host, or in that of the cluster.
    """
    image = f"{registry or cluster.registry}/acme/app-{uuid.uuid4().hex[:8]}"
    name = image.rpartition("/")[2]
    body = {"name": name, "image": image, "port": 8080, "healthcheck": "/"}
    status, project = server.call("POST", "/api/projects", body)
    assert status == 201, project
    stage = {"name": "dev", "replicas": 2, **QUICK, **fields}
    status, made = server.call("POST", f"/api/projects/{project['id']}/stages", stage)
    assert status == 201, made
    return SwarmLane(cluster, server, image, made["id"])
