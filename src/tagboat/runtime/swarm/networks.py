"""The overlay networks of a swarm."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tagboat.core.errors import (
    EngineError,
    EngineNotFoundError,
    EngineUnavailableError,
    NameTakenError,
)
from tagboat.core.naming import is_project_network
from tagboat.runtime.docker.refusal import no_network
from tagboat.runtime.docker.wire import Json
from tagboat.runtime.swarm.managers import SwarmManagers

_LOOKS = 10
_LOOK_AGAIN_S = 0.3
# Containers of a manager may have a network of the same name, and an engine takes it only once.
_OVERLAY = "-swarm"
_IN_USE = ("in use", "active endpoints")


class SwarmNetworks:
    """Makes, finds and removes networks that reach over all nodes."""

    def __init__(self, managers: SwarmManagers) -> None:
        self._managers = managers

    async def ensure(self, name: str, labels: Mapping[str, str], notes: Mapping[str, str]) -> str:
        """Make a network unless it exists, and return its id; see the port for the rest."""
        found = await self._find(name)
        if found is None:
            body = {
                "Name": _overlay_name(name),
                "CheckDuplicate": True,
                "Driver": "overlay",
                "Labels": {**notes, **labels},
            }
            doing = f"create the network {name}"
            # Another server may be quicker, or the call may be repeated.
            with suppress(NameTakenError):
                await self._managers.ask(doing, "networks/create", "POST", body=body)
            for _ in range(_LOOKS):
                found = await self._find(name)
                if found is not None:
                    break
                # A manager may list it a moment after another one has made it.
                await asyncio.sleep(_LOOK_AGAIN_S)
        if found is None:
            raise EngineError(f"the swarm could not create the network {name}: it does not list it")
        if not labels.items() <= (found.get("Labels") or {}).items():
            overlay = found["Name"]
            raise EngineError(
                f"the swarm has a network {overlay} that Tagboat has not made and does not use:"
                f" remove it with docker network rm {overlay}"
            )
        return str(found["Id"])

    async def ids_of(self, names: Sequence[str], doing: str) -> list[str]:
        """Return the ids of networks, in their order.

        Raises NetworkNotFoundError, EngineUnavailableError for a network of Tagboat's own.
        """
        ids = []
        for name in names:
            found = await self._find(name)
            if found is None and is_project_network(name):
                # It was made or found a moment ago: after the loss of a leader, another manager
                # may know it only once there is a new one.
                raise EngineUnavailableError(
                    f"the swarm could not {doing}: it does not list the network {name}"
                )
            if found is None:
                raise no_network(name, doing)
            ids.append(str(found["Id"]))
        return ids

    async def remove(self, name: str, labels: Mapping[str, str]) -> bool:
        """Remove the network if it has these labels, and no service uses it; whether it is gone."""
        found = await self._find(name)
        if found is None:
            return True
        if not labels.items() <= (found.get("Labels") or {}).items():
            return False
        try:
            await self._managers.ask(
                f"remove the network {name}", f"networks/{found['Id']}", "DELETE"
            )
        except EngineNotFoundError:
            return True
        except EngineError as error:
            if any(words in str(error) for words in _IN_USE):
                return False
            # It was removed, and the manager still lists it until the last task has left it.
            if "not found" not in str(error):
                raise
        return True

    async def labelled(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of all networks of the swarm with these labels, in order."""
        wanted = {
            "label": [f"{name}={value}" for name, value in labels.items()],
            "scope": ["swarm"],
        }
        found = await self._list(wanted)
        return sorted({str(one["Name"]).removesuffix(_OVERLAY) for one in found})

    async def _find(self, name: str) -> Json | None:
        # An earlier release has made it under its plain name. The managers want whole names here,
        # the engine that a network has reached already finds parts of them.
        wanted = {"name": [_overlay_name(name), name], "scope": ["swarm"]}
        found = {one["Name"]: one for one in await self._list(wanted)}
        return found.get(_overlay_name(name)) or found.get(name)

    async def _list(self, wanted: Mapping[str, list[str]]) -> Sequence[Json]:
        params = {"filters": json.dumps(wanted)}
        return list(await self._managers.ask("list networks", "networks", params=params) or ())


def _overlay_name(name: str) -> str:
    return f"{name}{_OVERLAY}" if is_project_network(name) else name
