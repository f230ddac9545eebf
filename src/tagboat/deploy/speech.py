"""Noticing that an app speaks another protocol than its project says."""

from collections.abc import Awaitable

from tagboat.core.errors import DeployFailedError
from tagboat.core.protocol import AppProtocol, misspoken
from tagboat.core.runtime import Probe
from tagboat.deploy.context import DeployContext


async def asked_in_http(
    probe: Probe, context: DeployContext, gate: Awaitable[str]
) -> tuple[str, str]:
    """Return the reason of the gate, and a warning about the protocol, empty for none.

    Raises DeployFailedError as the gate does, and then with that warning.
    """
    try:
        reason = await gate
    except DeployFailedError as error:
        if warning := await _warning(probe, context):
            raise DeployFailedError(f"{error}; {warning}") from error
        raise
    # An app that has answered a path in HTTP is not asked what it speaks.
    return reason, "" if context.config.healthcheck.startswith("/") else await _warning(
        probe, context
    )


async def _warning(probe: Probe, context: DeployContext) -> str:
    config, own = context.config, context.own
    if own is None or not own.endpoints or config.protocol is not AppProtocol.HTTP:
        return ""
    found = await probe.spoken(own.endpoints[0])
    return misspoken(found) if found else ""
