"""`python -m demo` shows Tagboat at work and keeps running; `python -m demo stop` ends it.

Everything it creates is in the folder `.demo` of the checkout, listens on 127.0.0.1 only, and is
removed by `stop`. With the word `swarm` before, this is about the demo in `swarm_demo.py`, whose
folder is `.demo-swarm`.
"""

import shutil
import sys
import time
from io import TextIOWrapper
from pathlib import Path

from demo import swarm_demo
from demo.engine import DOCKERD, Engine, ensure_engine, find_engine
from demo.processes import Processes
from demo.registry import REGISTRY, Registry
from demo.sample_image import PushError
from demo.server import SERVER, Server, program, say_link
from demo.show import DemoError, doing, say, title
from demo.story import REPOSITORY, Story
from demo.waiting import free_port

FOLDER = Path(__file__).resolve().parent.parent / ".demo"
_TAGBOAT_PORT = 7070
_INGRESS_PORT = 7080
_ACCOUNT = "demo"
_STOP = "make demo-stop"
_USAGE = "usage: python -m demo [swarm] [stop]"


def main(arguments: list[str]) -> int:
    """Run the demo, or stop it; the exit code is 0 done, 1 failed, 2 usage, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # where there is no ✓, another sign does
    on_swarm = arguments[:1] == ["swarm"]
    if arguments[on_swarm:] not in ([], ["stop"]):
        print(_USAGE, file=sys.stderr)
        return 2
    start, end, folder, how_to_end = (
        (swarm_demo.run, swarm_demo.stop, swarm_demo.FOLDER, swarm_demo.STOP)
        if on_swarm
        else (run, stop, FOLDER, _STOP)
    )
    try:
        (end if arguments[on_swarm:] else start)()
    except KeyboardInterrupt:
        print(f"\nInterrupted. The demo still runs; {how_to_end} ends it.", file=sys.stderr)
        return 130
    except (DemoError, PushError, OSError, ValueError) as error:
        print(f"\n  ✗ {error}", file=sys.stderr)
        if remedy := getattr(error, "remedy", ""):
            print(f"    What to do: {remedy}", file=sys.stderr)
        if folder.exists():
            print(
                f"    Logs are in {folder}. {how_to_end} ends the demo and removes everything.",
                file=sys.stderr,
            )
        return 1
    return 0


def run() -> None:
    """Start everything, run the story, and say where to look."""
    began = time.monotonic()
    print(
        "Tagboat demo: from a push to a running container, without losing a request; all on "
        "127.0.0.1"
    )
    title("Starting Tagboat and a registry")
    engine = find_engine()
    _clear(engine)
    processes = Processes(_make_folder())
    with doing("") as line:
        line.text = ensure_engine(engine, processes)
    server, registry = Server(FOLDER, processes), Registry(FOLDER, processes, free_port())
    (FOLDER / "registry-host").write_text(registry.host)
    with doing("") as line:
        ingress_port = free_port(_INGRESS_PORT)
        server.start(free_port(_TAGBOAT_PORT), ingress_port, engine.url)
        line.text = f"Tagboat is ready on {server.url}, its HAProxy on 127.0.0.1:{ingress_port}"
    with doing(f"a registry runs on {registry.host} and notifies Tagboat of each push"):
        registry.start(server.webhook_url())
    server.add_account(_ACCOUNT)
    say_link(server, _ACCOUNT, "Watch it in your browser, from here on:")
    address = Story(server, registry).tell()
    _say_where(server, registry, address, time.monotonic() - began)


def stop() -> None:
    """End and remove everything that a demo left."""
    if not FOLDER.exists():
        print("No demo is running.")
        return
    _clear(find_engine(), with_dockerd=True)


def _clear(engine: Engine, *, with_dockerd: bool = False) -> None:
    """End an earlier demo's processes; remove its containers, its images and its folder."""
    if not FOLDER.exists():
        return
    processes = Processes(FOLDER)
    with doing("") as line:
        names = [name for name in (SERVER, REGISTRY) if processes.end(name)]
        names += ["haproxy"] if Server(FOLDER, processes).end_ingress() else []
        containers = _clear_engine(engine)
        which = "the demo" if with_dockerd else "the earlier demo"
        line.text = (
            f"{which} is ended ({', '.join(names) or 'nothing ran'}), "
            f"its containers removed ({containers})"
        )
    dockerd = processes.get(DOCKERD)
    if dockerd and with_dockerd:
        if not engine.is_empty():
            raise DemoError(
                f"the dockerd that the demo started (process {dockerd.pid}) runs containers of "
                "others and is left alone",
                f"docker --host {engine.url} ps --all shows them; once they are gone, make "
                "demo-stop ends dockerd too",
            )
        with doing("the dockerd that the demo started is ended"):
            processes.end(DOCKERD)
        dockerd = None
    for path in FOLDER.iterdir():
        if not (dockerd and path.name in {"processes.json", processes.log(DOCKERD).name}):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if not dockerd:
        FOLDER.rmdir()


def _clear_engine(engine: Engine) -> int:
    """Remove what an earlier demo left on the engine; say so if the engine is not available."""
    host_file = FOLDER / "registry-host"
    if not host_file.exists():
        return 0
    try:
        return engine.remove_from(host_file.read_text())
    except OSError as error:
        raise DemoError(
            f"the earlier demo's containers cannot be removed: {error}",
            f"start Docker and try again; if nothing is left to remove, delete {FOLDER}",
        ) from None


def _make_folder() -> Path:
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    return FOLDER


def _say_where(server: Server, registry: Registry, page_url: str, seconds: float) -> None:
    title(f"Done in {seconds:.0f} s. Everything keeps running:")
    rows = {
        "the app": page_url,
        "pages": server.url,
        "API": f"{server.url}/api (described at /api/openapi.json)",
        "admin token": f"in {server.token_file}",
        "registry": f"http://{registry.host}/v2/{REPOSITORY}/tags/list",
        "logs": f"{FOLDER}/*.log",
    }
    for name, value in rows.items():
        say(f"{name:12} {value}")
    say_link(server, _ACCOUNT, "See it in your browser:")
    title("Look around on the command line:")
    token = f"$(cat {server.token_file})"
    say(f"export TAGBOAT_DATA_DIR={server.data_dir}")
    say(f"alias tagboat={program()}")
    for command in (
        "status",
        "logs hello dev",
        f"explain {registry.host}/{REPOSITORY}:v6",
        "webhook url",
    ):
        say(f"tagboat {command}")
    say(f'curl -H "Authorization: Bearer {token}" {server.url}/api/deploys')
    title("Go back by hand, while you reload the page:")
    say(
        "tagboat rollback hello dev     to the exact image and configuration of before; the stage "
        "is "
        "then held: no push or"
    )
    say("                               poll changes it")
    say("tagboat release hello dev      lets pushes and polls deploy again")
    title(f"Stop it: {_STOP}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
