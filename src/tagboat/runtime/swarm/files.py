"""The files of workloads, which a swarm keeps as secrets and configs."""

import base64
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from tagboat.core.errors import EngineError, EngineNotFoundError, NameTakenError
from tagboat.core.workload import WorkloadSpec
from tagboat.runtime.docker.wire import Json, parse_time
from tagboat.runtime.swarm.managers import SwarmManagers
from tagboat.runtime.swarm.service_wire import SECRETS_BELOW, StoredFile, service_name

FILE_OF_LABEL = "tagboat.swarm.file_of"
"""The label of a secret or config with the name of the service that it was made for."""
_FILE_KINDS = ("secrets", "configs")
_BEFORE_ITS_SERVICE = timedelta(minutes=10)


class SwarmFiles:
    """Stores the files of services before these are made, and removes them after them."""

    def __init__(self, managers: SwarmManagers) -> None:
        self._managers = managers

    async def store(self, spec: WorkloadSpec) -> list[StoredFile]:
        """Store the files of a workload; their names are new, since their content cannot change."""
        owner = {name: value for name, value in spec.labels.items() if name.startswith("tagboat.")}
        labels = {**owner, FILE_OF_LABEL: service_name(spec.name)}
        return [await self._store(path, text, labels) for path, text in spec.files.items()]

    async def remove(self, files: Iterable[StoredFile]) -> None:
        """Remove these files, which no service uses."""
        for one in files:
            await self._remove("secrets" if one.is_secret else "configs", one.id)

    async def remove_for(self, service: str) -> None:
        """Remove the files that were made for the service of that name, which is gone."""
        for kind in _FILE_KINDS:
            for one in await self._list(kind, {FILE_OF_LABEL: service}):
                await self._remove(kind, one["ID"])

    async def sweep(self, labels: Mapping[str, str], services: Collection[str]) -> None:
        """Remove files with these labels whose services are not among these names any more."""
        for kind in _FILE_KINDS:
            for one in await self._list(kind, labels):
                owner = (one["Spec"].get("Labels") or {}).get(FILE_OF_LABEL)
                made = parse_time(one.get("CreatedAt") or "")
                # It may be that of a service that is being made just now.
                is_old = made is not None and datetime.now(UTC) - made > _BEFORE_ITS_SERVICE
                if owner and owner not in services and is_old:
                    await self._remove(kind, one["ID"])

    async def _store(self, path: str, text: str, labels: Mapping[str, str]) -> StoredFile:
        is_secret = path.startswith(SECRETS_BELOW)
        kind = "secrets" if is_secret else "configs"
        name = f"tagboat-{secrets.token_hex(12)}"
        data = base64.b64encode(text.encode()).decode("ascii")
        body = {"Name": name, "Labels": dict(labels), "Data": data}
        doing = f"store the file {path}"
        try:
            made = await self._managers.ask(doing, f"{kind}/create", "POST", body=body)
        except NameTakenError:
            # The call was repeated, and done the first time: nobody else has this name.
            found = await self._list(kind, {}, name)
            if not found:
                raise
            made = found[0]
        return StoredFile(str(made.get("ID") or made.get("Id")), name, path, is_secret)

    async def _list(self, kind: str, labels: Mapping[str, str], name: str = "") -> list[Json]:
        wanted: dict[str, list[str]] = {
            "label": [f"{one}={value}" for one, value in labels.items()]
        }
        if name:
            wanted["name"] = [name]
        params = {"filters": json.dumps(wanted)}
        return list(await self._managers.ask(f"list {kind}", kind, params=params) or ())

    async def _remove(self, kind: str, file: str) -> None:
        try:
            await self._managers.ask(f"remove one of the {kind}", f"{kind}/{file}", "DELETE")
        except EngineNotFoundError:
            return
        except EngineError as error:
            # A service of a person may use it, too.
            if "in use by" not in str(error):
                raise
