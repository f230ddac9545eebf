"""Sixty new images pushed at once, until the last is live; compared with `docker run`.

`docker run` starts sixteen at a time, each on a network of its own, as Tagboat gives one to each
project. Without networks it is quicker by what the engine needs to make them.
"""

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.rig import BenchError, Server, free_port, remove_images, show, tagboat
from tests.support.docker_registry import docker_registry
from tests.support.images import push_image

IMAGES = 60
AT_A_TIME = 16
_NETWORK = "tagboat-bench-{}"


def measure(folder: Path) -> None:
    """Print the seconds that each took."""
    with docker_registry() as registry, tagboat(folder / "burst") as server:
        for number in range(IMAGES):
            for name in ("own", "apart", "together"):
                push_image(registry.host, f"bench/{name}{number}", "v1", body=f"{name} {number}")
        try:
            together = _by_hand(registry.host, "together", _run)
            apart = _by_hand(registry.host, "apart", _run_apart)
            own = _pushed(server, registry.host)
        finally:
            server.remove_projects()
            remove_images(f"{registry.host}/")
    what = f"{IMAGES} new images at once"
    show(what, [own], f"{AT_A_TIME} docker run, networks", [apart], "s", "ratio <= 1.1")
    show(what, [own], f"{AT_A_TIME} docker run, no network", [together], "s")


def _pushed(server: Server, host: str) -> float:
    began = time.perf_counter()
    for number in range(IMAGES):
        server.push(f"{host}/bench/own{number}:v1")
    server.await_rest()
    took = time.perf_counter() - began
    if len(server.call("GET", "/api/instances?state=live&limit=200")["items"]) != IMAGES:
        raise BenchError("not all images became live")
    return took


def _by_hand(host: str, name: str, run: Callable[[str, int], str]) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as hands:
        containers = list(
            hands.map(lambda number: run(f"{host}/bench/{name}{number}:v1", number), range(IMAGES))
        )
    took = time.perf_counter() - began
    _docker("rm", "--force", *containers)
    if run is _run_apart:
        _docker("network", "rm", *map(_NETWORK.format, range(IMAGES)))
    return took


def _run_apart(image: str, number: int) -> str:
    # The engine's own ranges are enough for some thirty networks.
    subnet = f"10.120.{number}.0/25"
    network = _docker("network", "create", "--subnet", subnet, _NETWORK.format(number))
    return _run(image, number, "--network", network)


def _run(image: str, _number: int, *words: str) -> str:
    published = f"127.0.0.1:{free_port()}:8080"
    return _docker("run", "--detach", *words, "--publish", published, image)


def _docker(*words: str) -> str:
    done = subprocess.run(("docker", *words), check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"docker {words[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()
