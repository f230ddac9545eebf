"""The services of a swarm: found, made, changed and removed through its managers."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import EngineError, EngineNotFoundError, NameTakenError
from tagboat.core.generics import T
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.runtime.docker.wire import Json
from tagboat.runtime.swarm.managers import OutOfSequenceError, SwarmManagers
from tagboat.runtime.swarm.service_wire import ATTEMPT_LABEL, service_name
from tagboat.runtime.swarm.tasks import (
    SwarmNode,
    SwarmTask,
    read_nodes,
    read_tasks,
    service_status,
)

_CHANGE_TRIES = 20
_KNOWN_TASKS = 10_000
_AUTH_HEADER = "X-Registry-Auth"
_NODES_S = 0.8

LOST_TRACK_S = 10.0
"""Seconds after which a port that the managers do not know of a running task will not be known."""

ServiceChange = Callable[[dict[str, Any]], bool]
"""Changes the spec of a service; returns False where that is as it is to be already."""


class SwarmServices:
    """Reads and writes services, by the id or the name of a workload."""

    def __init__(self, managers: SwarmManagers) -> None:
        self._managers = managers
        self._endpoints: dict[str, Endpoint] = {}
        self._without: dict[str, float] = {}

    async def nodes(self) -> dict[str, SwarmNode]:
        """Return the machines of the swarm, by id."""
        return read_nodes(await self._managers.ask("list its nodes", "nodes") or ())

    async def trouble(self) -> str:
        """Return why the swarm has no leader, or which nodes are down; empty for neither."""
        found: dict[str, SwarmNode] = {}
        # Without a leader it is not answered; a health check has no time for more.
        with suppress(TimeoutError):
            async with asyncio.timeout(_NODES_S):
                found = await self.nodes()
        nodes = sorted(found.values(), key=lambda one: one.name)
        if not any(one.is_leader for one in nodes):
            return "the swarm has no leader; 'docker node ls' on a manager says which are there"
        down = ", ".join(one.name for one in nodes if one.lost)
        return f"nodes of the swarm that do not answer: {down}" if down else ""

    async def find(self, workload: str) -> Json | None:
        """Return the service of a workload, None where there is none."""
        name = service_name(workload)
        try:
            found: Json = await self._managers.ask(
                f"inspect the service {workload}", f"services/{name}"
            )
        except EngineNotFoundError:
            return None
        # The manager takes the beginning of an id for one, too.
        return found if workload == found["ID"] or name == found["Spec"]["Name"] else None

    async def labelled(self, labels: Mapping[str, str]) -> list[Json]:
        """Return all services with these labels."""
        wanted = {"label": [f"{name}={value}" for name, value in labels.items()]}
        params = {"filters": json.dumps(wanted)} if labels else None
        return list(await self._managers.ask("list services", "services", params=params) or ())

    async def tasks(self, service: Json) -> list[SwarmTask]:
        """Return the tasks of one service, the oldest first; none where it is gone."""
        params = {"filters": json.dumps({"service": [service["ID"]]})}
        try:
            nodes, found = await asyncio.gather(
                self.nodes(), self._managers.ask("list tasks", "tasks", params=params)
            )
        except EngineNotFoundError:
            return []
        return self._read_tasks(service, found or (), nodes)

    def _read_tasks(
        self, service: Json, answer: Iterable[Json], nodes: Mapping[str, SwarmNode]
    ) -> list[SwarmTask]:
        """Read tasks; one whose port the managers have forgotten has the endpoint it had before.

        A node that reports to a new leader may leave the ports of its running tasks out. A task
        keeps its ports as long as it runs, so that those that were never told will not be.
        """
        tasks, now = [], time.monotonic()
        for one in read_tasks(service, answer, nodes):
            if one.endpoint is None and one.state == "running":
                at = self._endpoints.get(one.id)
                since = _note(self._without, one.id, self._without.get(one.id, now))
                lost = at is None and now - since >= LOST_TRACK_S
                tasks.append(replace(one, endpoint=at, lost_track=lost))
                continue
            if one.endpoint is not None:
                _note(self._endpoints, one.id, one.endpoint)
            tasks.append(one)
        return tasks

    async def statuses(self, services: Sequence[Json]) -> list[WorkloadStatus]:
        """Return the statuses of several services, in their order."""
        if not services:
            return []
        nodes, found = await asyncio.gather(self.nodes(), self._managers.ask("list tasks", "tasks"))
        by_service: dict[str, list[Json]] = {}
        for one in found or ():
            by_service.setdefault(str(one.get("ServiceID")), []).append(one)
        return [
            service_status(one, self._read_tasks(one, by_service.get(one["ID"], ()), nodes))
            for one in services
        ]

    async def create(self, body: Json, auth: str | None) -> str:
        """Make a service and return its id.

        Raises NameTakenError where one of its name was made by another call than this one.
        """
        name, attempt = str(body["Name"]), body["Labels"][ATTEMPT_LABEL]
        headers = {_AUTH_HEADER: auth} if auth else {}
        doing = f"create the service {name}"
        try:
            made = await self._managers.ask(
                doing, "services/create", "POST", body=dict(body), headers=headers
            )
        except NameTakenError:
            # The call may have been repeated, since a manager did it and was lost.
            found = await self.find(name)
            if found is None or found["Spec"]["Labels"].get(ATTEMPT_LABEL) != attempt:
                raise
            return str(found["ID"])
        return str(made.get("ID") or made["Id"])

    async def change(
        self, workload: str, change: ServiceChange, auth: str | None = None
    ) -> Json | None:
        """Change a service as it is now, and return it; None where it is gone.

        What somebody else changes at the same time is kept, and the change is tried again.
        """
        doing = f"change the service {workload}"
        for _ in range(_CHANGE_TRIES):
            found = await self.find(workload)
            if found is None:
                return None
            spec = deepcopy(dict(found["Spec"]))
            if not change(spec):
                return found
            try:
                await self._managers.ask(
                    doing,
                    f"services/{found['ID']}/update",
                    "POST",
                    params={"version": str(found["Version"]["Index"])},
                    body=spec,
                    headers={_AUTH_HEADER: auth} if auth else {},
                )
            except OutOfSequenceError:
                # Also where a lost manager had done it already: then nothing is left to change.
                continue
            except EngineNotFoundError:
                return None
            return {**found, "Spec": spec}
        raise EngineError(f"the swarm could not {doing}: others change it again and again")

    async def replace_tasks(self, workload: str) -> None:
        """Let the swarm start a new task in the place of each; does nothing where it is gone."""

        def force(spec: dict[str, Any]) -> bool:
            template = spec["TaskTemplate"]
            template["ForceUpdate"] = int(template.get("ForceUpdate") or 0) + 1
            return True

        await self.change(workload, force)
        # They are no reason to do it again before the new ones had their time.
        self._without.clear()

    async def remove(self, service: str) -> None:
        """Remove a service by its id; its tasks are stopped by their nodes."""
        try:
            await self._managers.ask(
                f"remove the service {service}", f"services/{service}", "DELETE"
            )
        except EngineNotFoundError:
            return


def _note(known: dict[str, T], task: str, value: T) -> T:
    """Keep what is known of a task as the last of them, and forget those before the last ones."""
    known.pop(task, None)
    known[task] = value
    while len(known) > _KNOWN_TASKS:
        known.pop(next(iter(known)))
    return value
