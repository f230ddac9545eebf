"""Requests for each repository in a poll cycle at rest.

The least is one listing, and one HEAD for each live tag.
"""

import re
from pathlib import Path

from bench.rig import BenchError, remove_images, show, tagboat
from tests.support.docker_registry import docker_registry
from tests.support.images import push_image

TAGS = 12
CYCLES = 5
_REPOSITORY = "bench/polled"
_REQUEST = re.compile(rf'"(GET|HEAD) /v2/{_REPOSITORY}/\S* HTTP')


def measure(folder: Path) -> None:
    """Print the requests of a cycle and its listings, counted in the registry's access log."""
    with docker_registry() as registry, tagboat(folder / "polled") as server:
        for number in range(TAGS):
            push_image(registry.host, _REPOSITORY, f"v{number}")
        project = server.push(f"{registry.host}/{_REPOSITORY}:v1")["project"]["id"]
        try:
            server.await_rest()
            server.call("POST", f"/api/projects/{project}/poll")
            before = len(_REQUEST.findall(registry.log))
            for _ in range(CYCLES):
                if error := server.call("POST", f"/api/projects/{project}/poll")["error"]:
                    raise BenchError(f"a poll failed: {error}")
            asked = _REQUEST.findall(registry.log)[before:]
        finally:
            server.remove_projects()
            remove_images(f"{registry.host}/")
    show(
        f"requests a cycle, {TAGS} tags, 1 live",
        [len(asked) / CYCLES],
        "listing + HEAD",
        [2],
        "",
        "2",
    )
    print(
        f"  of which listings {asked.count('GET') / CYCLES:.1f}, HEADs "
        f"{asked.count('HEAD') / CYCLES:.1f}"
    )
