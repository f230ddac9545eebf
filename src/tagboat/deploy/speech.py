"""In which protocol an app is spoken to: what its image says, asking in it, and noticing that it is the wrong one."""

from collections.abc import Awaitable

from tagboat.core.errors import DeployFailedError
from tagboat.core.protocol import AppProtocol, misspoken
from tagboat.core.runtime import Probe
from tagboat.deploy.context import DeployContext


async def asked_in_http(
    probe: Probe, context: DeployContext, gate: Awaitable[str]
) -> tuple[str, str]:
    """What the gate says, and a warning, empty for none: an app that speaks another protocol than its project says.

    Raises DeployFailedError as the gate does, and then with that warning.
    """
    try:
        reason = await gate
    except DeployFailedError as error:
        if warning := await _warning(probe, context):
            raise DeployFailedError(f"{error}; {warning}") from error
        raise
    # Who has answered a path in HTTP need not be asked what it speaks.
    return reason, "" if context.config.healthcheck.startswith("/") else await _warning(
        probe, context
    )


async def _warning(probe: Probe, context: DeployContext) -> str:
    config, own = context.config, context.own
    if own is None or own.endpoint is None or config.protocol is not AppProtocol.HTTP:
        return ""
    found = await probe.spoken(own.endpoint)
    return misspoken(found) if found else ""
