"""The services of a swarm: found, made, changed and removed through its managers."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tagboat.core.endpoint import Endpoint
from tagboat.core.errors import EngineError, EngineNotFoundError, NameTakenError
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

ServiceChange = Callable[[dict[str, Any]], bool]
"""Changes the spec of a service; returns False where that is as it is to be already."""


class SwarmServices:
    """Reads and writes services, by the id or the name of a workload."""

    def __init__(self, managers: SwarmManagers) -> None:
        self._managers = managers
        self._endpoints: dict[str, Endpoint] = {}

    async def nodes(self) -> dict[str, SwarmNode]:
        """Return the machines of the swarm, by id."""
        return read_nodes(await self._managers.ask("list its nodes", "nodes") or ())

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
        keeps its ports as long as it runs.
        """
        tasks = read_tasks(service, answer, nodes)
        for one in tasks:
            if one.endpoint is not None:
                # Taken out first, so that those that were seen last are the last ones.
                self._endpoints.pop(one.id, None)
                self._endpoints[one.id] = one.endpoint
        while len(self._endpoints) > _KNOWN_TASKS:
            self._endpoints.pop(next(iter(self._endpoints)))
        return [
            replace(one, endpoint=self._endpoints[one.id])
            if one.endpoint is None and one.state == "running" and one.id in self._endpoints
            else one
            for one in tasks
        ]

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

    async def remove(self, service: str) -> None:
        """Remove a service by its id; its tasks are stopped by their nodes."""
        try:
            await self._managers.ask(
                f"remove the service {service}", f"services/{service}", "DELETE"
            )
        except EngineNotFoundError:
            return
