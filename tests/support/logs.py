"""The log of a container, as lines of text."""

from tagboat.core.runtime import Runtime


async def log_of(runtime: Runtime, container: str, tail: int) -> list[str]:
    """Return the last `tail` lines."""
    return [line.text for line in await runtime.logs(container, tail)]
