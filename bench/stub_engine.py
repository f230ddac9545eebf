"""`stub_engine.py SOCKET`: the part of a Docker engine that a deploy needs, as a process.

It starts nothing. A container is a port that answers each request, so a server may deploy a
thousand times within minutes, and none of what the engine keeps is in the memory of the server that
is measured. Below `/bench` it counts its calls (GET `calls`), makes all containers older (POST
`age`), reports news of one that has none (POST `news`), and has one end (POST `end`).
"""

import asyncio
import json
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

READY = "engine ready"
_VERSION = {
    "Version": "20.10.24",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
    "Os": "linux",
    "Arch": "amd64",
}
AGE_S = 600
"""Seconds by which `age` makes containers older."""
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"

Json = dict[str, Any]


@dataclass(slots=True)
class _Container:
    """`port` is at which its app answers while it runs, 0 for none."""

    id: str
    name: str
    body: Json
    started_at: datetime | None = None
    app: asyncio.Server | None = None

    @property
    def port(self) -> int:
        bound = [
            port
            for ports in self.body["HostConfig"].get("PortBindings", {}).values()
            for port in ports
        ]
        return int(bound[0]["HostPort"]) if bound else 0

    async def stop(self) -> None:
        if self.app is not None:
            self.app.close()
        self.app = None

    def shown(self) -> Json:
        began = self.started_at.isoformat() if self.started_at else ""
        state = {"Running": self.app is not None, "StartedAt": began, "ExitCode": 0}
        config = {"Labels": self.body["Labels"], "Image": self.body["Image"]}
        ports = self.body["HostConfig"].get("PortBindings", {})
        networks = {"Ports": ports, "Networks": {}}
        named = {
            "Id": self.id,
            "Name": f"/{self.name}",
            "State": state,
            "Config": config,
            "Mounts": [],
        }
        return named | {"HostConfig": self.body["HostConfig"], "NetworkSettings": networks}

    def listed(self) -> Json:
        """Return its part of a list, with the engine's words for how long it runs."""
        shown = self.shown()
        named = {"Id": self.id, "Names": [shown["Name"]], "Labels": self.body["Labels"]}
        if self.app is None or self.started_at is None:
            return named | {"State": "exited", "Status": "Exited (0) 1 second ago"}
        up_s = int((datetime.now(UTC) - self.started_at).total_seconds())
        words = f"{up_s} seconds" if up_s < 60 else f"{up_s // 60} minutes"  # noqa: PLR2004
        return named | {"State": "running", "Status": f"Up {words}"}


@dataclass(slots=True)
class _Engine:
    """The state: names of images, containers by id, and (always empty) networks by name.

    `calls` counts them by what they ask for; `news` has the followers of events.
    """

    calls: Counter[str] = field(default_factory=Counter)
    news: set[asyncio.Queue[str]] = field(default_factory=set)

    images: set[str] = field(default_factory=set)
    held: dict[str, _Container] = field(default_factory=dict)
    networks: dict[str, Json] = field(default_factory=dict)

    def find(self, request: web.Request) -> _Container:
        wanted = request.match_info["container"]
        if wanted in self.held:
            return self.held[wanted]
        for one in self.held.values():
            if wanted in {one.id, one.name}:
                return one
        raise web.HTTPNotFound(
            text=json.dumps({"message": "No such container"}), content_type="application/json"
        )

    async def version(self, _request: web.Request) -> web.Response:
        return web.json_response(_VERSION)

    async def info(self, _request: web.Request) -> web.Response:
        return web.json_response({"ID": "bench", "DockerRootDir": "/nowhere"})

    async def image(self, request: web.Request) -> web.Response:
        name = request.match_info["image"]
        if name not in self.images:
            return web.json_response({"message": "No such image"}, status=404)
        config: Json = {"ExposedPorts": {"8080/tcp": {}}, "Labels": {}}
        shown = {
            "Id": f"sha256:{'0' * 64}",
            "RepoDigests": [name],
            "Config": config,
            "Os": "linux",
            "Architecture": "amd64",
        }
        return web.json_response(shown)

    async def pull(self, request: web.Request) -> web.Response:
        self.images.add(request.query["fromImage"])
        return web.json_response({"status": "Pull complete"})

    async def remove_image(self, request: web.Request) -> web.Response:
        self.images.discard(request.match_info["image"])
        return web.json_response([])

    async def create(self, request: web.Request) -> web.Response:
        made = _Container(secrets.token_hex(32), request.query["name"], await request.json())
        self.held[made.id] = made
        return web.json_response({"Id": made.id, "Warnings": []}, status=201)

    async def start(self, request: web.Request) -> web.Response:
        found = self.find(request)
        if found.app is None and found.port:
            found.app = await asyncio.start_server(_answer, "127.0.0.1", found.port)
        found.started_at = datetime.now(UTC)
        return web.Response(status=204)

    async def stop(self, request: web.Request) -> web.Response:
        await self.find(request).stop()
        return web.Response(status=204)

    async def remove(self, request: web.Request) -> web.Response:
        found = self.find(request)
        await found.stop()
        del self.held[found.id]
        return web.Response(status=204)

    async def inspect(self, request: web.Request) -> web.Response:
        return web.json_response(self.find(request).shown())

    async def list(self, request: web.Request) -> web.Response:
        wanted: Mapping[str, Any] = json.loads(request.query.get("filters", "{}"))
        pairs = dict(label.split("=", 1) for label in wanted.get("label", ()))
        shown = [
            one
            for one in self.held.values()
            if pairs.items() <= one.body["Labels"].items()
            and one.body["Image"] in wanted.get("ancestor", (one.body["Image"],))
        ]
        return web.json_response([one.listed() for one in shown])

    async def list_networks(self, _request: web.Request) -> web.Response:
        return web.json_response(list(self.networks.values()))

    async def create_network(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.networks[asked["Name"]] = {**asked, "Id": asked["Name"], "Containers": {}}
        return web.json_response({"Id": asked["Name"]}, status=201)

    async def network(self, request: web.Request) -> web.Response:
        found = self.networks.get(request.match_info["network"])
        return web.json_response(
            found or {"message": "no such network"}, status=200 if found else 404
        )

    async def remove_network(self, request: web.Request) -> web.Response:
        self.networks.pop(request.match_info["network"], None)
        return web.Response(status=204)

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if "until" in request.query:
            return response
        names = asyncio.Queue[str]()
        self.news.add(names)
        try:
            while True:
                actor = {"ID": "", "Attributes": {"name": await names.get()}}
                event = {"Type": "container", "Action": "die", "Actor": actor}
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self.news.discard(names)

    async def count(self, _request: web.Request) -> web.Response:
        return web.json_response(dict(self.calls))

    async def age(self, _request: web.Request) -> web.Response:
        for one in self.held.values():
            if one.started_at is not None:
                one.started_at -= timedelta(seconds=AGE_S)
        return web.Response(status=204)

    async def tell(self, _request: web.Request) -> web.Response:
        self._tell(next(iter(self.held.values())).name)
        return web.Response(status=204)

    async def end_one(self, _request: web.Request) -> web.Response:
        found = next(one for one in self.held.values() if one.app is not None)
        await found.stop()
        self._tell(found.name)
        return web.json_response({"Name": found.name})

    def _tell(self, name: str) -> None:
        for names in self.news:
            names.put_nowait(name)

    def counted(
        self, kind: str, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return a handler that counts its calls."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self.calls[kind] += 1
            return await answer(request)

        return handle


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request; a connection that is closed without any is no fault."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_ANSWER)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _app() -> web.Application:
    engine, app = _Engine(), web.Application()
    routes = (
        ("GET", "/version", engine.version),
        ("GET", "/info", engine.info),
        ("GET", "/images/{image:.+}/json", engine.image),
        ("POST", "/images/create", engine.pull),
        ("DELETE", "/images/{image:.+}", engine.remove_image),
        ("POST", "/containers/create", engine.create),
        ("GET", "/containers/json", engine.list),
        ("GET", "/containers/{container}/json", engine.inspect),
        ("POST", "/containers/{container}/start", engine.start),
        ("POST", "/containers/{container}/stop", engine.stop),
        ("DELETE", "/containers/{container}", engine.remove),
        ("GET", "/networks", engine.list_networks),
        ("POST", "/networks/create", engine.create_network),
        ("GET", "/networks/{network}", engine.network),
        ("DELETE", "/networks/{network}", engine.remove_network),
        ("GET", "/events", engine.events),
    )
    for method, path, answer in routes:
        handler = engine.counted(f"{method} {path}", answer)
        app.router.add_route(method, path, handler)
        app.router.add_route(method, "/{version:v[0-9.]+}" + path, handler)
    app.router.add_get("/bench/calls", engine.count)
    app.router.add_post("/bench/age", engine.age)
    app.router.add_post("/bench/news", engine.tell)
    app.router.add_post("/bench/end", engine.end_one)
    return app


async def _serve(path: str) -> None:
    runner = web.AppRunner(_app())
    await runner.setup()
    await web.UnixSite(runner, path).start()
    print(READY, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
