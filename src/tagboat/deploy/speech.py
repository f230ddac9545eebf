"""In which protocol an app is spoken to: what its image says, asking in it, and noticing that it is the wrong one."""

from collections.abc import Awaitable

from tagboat.core.errors import DeployFailedError
from tagboat.core.ports import Probe
from tagboat.core.protocol import AppProtocol, misspoken
from tagboat.deploy.scene import Scene


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
