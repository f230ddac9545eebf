"""Logins of services, which are given anew."""

import base64
import json
from typing import Any, cast

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import EngineUnavailableError, RegistryNotFoundError
from tagboat.core.image import ImageInfo, ImageName, ImageRef
from tagboat.core.registry_logins import StoredLogins
from tagboat.runtime.swarm.logins import renew_logins
from tagboat.runtime.swarm.managers import SwarmManagers
from tagboat.runtime.swarm.service_wire import LOGIN_LABEL
from tagboat.runtime.swarm.services import SwarmServices
from tests.unit.runtime.swarm.calls import Calls

pytestmark = pytest.mark.anyio
LABELS = {"tagboat.managed": "true"}


def service(key: str) -> dict[str, Any]:
    image = f"git.example.com/acme/{key}@sha256:{'1' * 64}"
    task = {"ContainerSpec": {"Image": image}, "ForceUpdate": 3}
    spec = {"Name": key, "Labels": dict(LABELS), "TaskTemplate": task}
    return {"ID": key, "Version": {"Index": 7}, "Spec": spec}


class Source:
    """Every image is in one registry, but that of `public`."""

    async def registry_of(self, image: ImageName) -> Registry | None:
        if image.path.endswith("public"):
            return None
        return Registry(
            id="r1",
            name="forge",
            url="https://git.example.com",
            kind=RegistryKind.GITEA,
            username="ci",
            password="new",
        )

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:  # noqa: ARG002
        raise RegistryNotFoundError(str(image))


async def test_each_service_gets_the_login_of_now_and_its_tasks_stay() -> None:
    """One that cannot be changed stops no other, and is told at the end."""
    services = [service("broken"), service("public"), service("shop")]
    answers = {f"services/{one['ID']}": one for one in services}
    calls = Calls({"services": services, **answers})
    with pytest.raises(EngineUnavailableError, match="change the service broken"):
        await renew_logins(
            SwarmServices(cast("SwarmManagers", calls)), Source(), StoredLogins(), LABELS
        )
    ((_, path, body, headers),) = calls.changes
    assert path == "services/shop/update"
    assert body["TaskTemplate"] == service("shop")["Spec"]["TaskTemplate"]
    assert LOGIN_LABEL in body["Labels"]
    login = json.loads(base64.urlsafe_b64decode(headers["X-Registry-Auth"]))
    assert (login["username"], login["password"]) == ("ci", "new")
