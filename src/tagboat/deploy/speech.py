"""In which protocol an app is spoken to: what its image says, asking in it, and noticing that it is the wrong one."""

from collections.abc import Awaitable
from dataclasses import replace

from tagboat.core.catalog import Project
from tagboat.core.errors import DeployFailedError
from tagboat.core.image import ImageInfo
from tagboat.core.ports import Probe
from tagboat.core.protocol import PROTOCOL_LABEL, AppProtocol, misspoken, protocol_of
from tagboat.deploy.scene import Scene


def with_protocol(project: Project, info: ImageInfo) -> Project:
    """The project with the protocol that its image's label names, unless it was told another than `http`."""
    if PROTOCOL_LABEL not in info.labels or project.protocol is not AppProtocol.HTTP:
        return project
    return replace(project, protocol=protocol_of(info.labels))


async def asked_in_http(probe: Probe, scene: Scene, gate: Awaitable[str]) -> tuple[str, str]:
    """What the gate says, and a warning, empty for none: an app that speaks another protocol than its project says.

    Raises DeployFailedError as the gate does, and then with that warning.
    """
    try:
        reason = await gate
    except DeployFailedError as error:
        if warning := await _warning(probe, scene):
            raise DeployFailedError(f"{error}; {warning}") from error
        raise
    # Who has answered a path in HTTP need not be asked what it speaks.
    return reason, "" if scene.config.healthcheck.startswith("/") else await _warning(probe, scene)


async def _warning(probe: Probe, scene: Scene) -> str:
    config, own = scene.config, scene.own
    if own is None or not own.host_port or config.protocol is not AppProtocol.HTTP:
        return ""
    found = await probe.spoken(own.host_port)
    return misspoken(found) if found else ""
