"""Sixty new images pushed at once, until the last is live; compared with `docker run`.

`docker run` starts sixteen at a time.
"""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.rig import BenchError, Server, free_port, remove_images, show, tagboat
from tests.support.docker_registry import docker_registry
from tests.support.images import push_image

IMAGES = 60
AT_A_TIME = 16


def measure(folder: Path) -> None:
    """Print the seconds that each took."""
    with docker_registry() as registry, tagboat(folder / "burst") as server:
        for number in range(IMAGES):
            for name in ("own", "floor"):
                push_image(registry.host, f"bench/{name}{number}", "v1", body=f"{name} {number}")
        try:
            floor = _by_hand(registry.host)
            own = _pushed(server, registry.host)
        finally:
            server.remove_projects()
            remove_images(f"{registry.host}/")
    show(
        f"{IMAGES} new images at once",
        [own],
        f"docker run, {AT_A_TIME} at a time",
        [floor],
        "s",
        "ratio <= 1.1",
    )


def _pushed(server: Server, host: str) -> float:
    began = time.perf_counter()
    for number in range(IMAGES):
        server.push(f"{host}/bench/own{number}:v1")
    server.await_rest()
    took = time.perf_counter() - began
    if len(server.call("GET", "/api/instances?state=live&limit=200")["items"]) != IMAGES:
        raise BenchError("not all images became live")
    return took


def _by_hand(host: str) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as hands:
        containers = list(
            hands.map(lambda number: _run(f"{host}/bench/floor{number}:v1"), range(IMAGES))
        )
    took = time.perf_counter() - began
    subprocess.run(["docker", "rm", "--force", *containers], check=True, capture_output=True)
    return took


def _run(image: str) -> str:
    words = ["docker", "run", "--detach", "--publish", f"127.0.0.1:{free_port()}:8080", image]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"docker run failed: {done.stderr.strip()}")
    return done.stdout.strip()
