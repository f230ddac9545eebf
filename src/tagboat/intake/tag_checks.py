"""Questions to the registry about pushed tags that their project does not know: is it an image?

A chart or a signature is then refused in the answer to its push. Without an answer in time the
push is admitted, and its deploy finds out. A sender must not wait long for this, and many calls
must not slow down the rest: so the questions are few, and a registry that is down is left alone.
"""

import asyncio
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace

import structlog

from tagboat.core.catalog import KnownTag, Registry
from tagboat.core.errors import (
    NotAnImageError,
    RegistryDeniedError,
    RegistryNotFoundError,
    TagboatError,
)
from tagboat.core.image import ImageName, ImageRef
from tagboat.core.ports import ImageInspector, Reader
from tagboat.core.push import Outcome, Push
from tagboat.core.rate import Bucket, Rate
from tagboat.intake.admit import as_stored
from tagboat.intake.inspections import Inspected

CHECK_LIMIT_S = 1.0
"""Seconds for which a sender waits for the answer."""
CHECKS = Rate(per_s=20, burst=20)
"""Questions of all calls together; beyond that, pushes are admitted without one."""
CHECKS_OF_CALL = 5
SILENCE_S = 30.0
"""Seconds for which a registry that did not answer is not asked."""
_REMEMBERED = 10_000
"""Known tags that are not looked up again."""

log = structlog.get_logger("tagboat.intake")


@dataclass(frozen=True, slots=True)
class TagCheck:
    """A question: an image by its tag, as its registry stores that, and the registry."""

    image: ImageRef
    registry: Registry | None


class TagChecks:
    """Finds the tags to ask about, and asks. `clock` is monotonic, in seconds."""

    def __init__(
        self, inspector: ImageInspector, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._inspector = inspector
        self._clock = clock
        self._bucket = Bucket(CHECKS.burst)
        self._images: dict[tuple[ImageName, str], None] = {}
        self._silent_until: dict[str, float] = {}

    def due(
        self, reader: Reader, pushes: Sequence[Push], newcomers: Container[ImageName]
    ) -> tuple[TagCheck, ...]:
        """Return the questions to ask first; `newcomers` are the images without a project.

        Reads nothing for a tag that was found to be known before, which is the usual one.
        """
        checks: dict[ImageRef, TagCheck] = {}
        for push in pushes:
            image = push.image
            if image.name in newcomers or (image.name, image.tag) in self._images:
                continue
            if len(checks) == CHECKS_OF_CALL or not self._may_ask(image.name.host):
                break
            if check := self._check(reader, push):
                self._bucket.tokens -= 1
                checks[check.image] = check
        return tuple(checks.values())

    async def ask(self, checks: Sequence[TagCheck]) -> Inspected:
        """Return what is not an image, and None for what is one or could not be read."""
        found = await asyncio.gather(*map(self._ask, checks))
        return dict(zip([check.image for check in checks], found, strict=True))

    def _may_ask(self, host: str) -> bool:
        now = self._clock()
        return not self._bucket.wait(CHECKS, now) and self._silent_until.get(host, now) <= now

    def _check(self, reader: Reader, push: Push) -> TagCheck | None:
        project = reader.project_by_image(push.image.name)
        if project is None:
            return None
        registry = reader.registry_of(project)
        image = replace(as_stored(push, registry.kind if registry else None).image, digest=None)
        if _is_known_image(reader.known_tag(project.id, image.tag)):
            if len(self._images) >= _REMEMBERED:
                self._images.clear()
            self._images[push.image.name, push.image.tag] = None
            return None
        return TagCheck(image, registry)

    async def _ask(self, check: TagCheck) -> NotAnImageError | None:
        host = check.image.name.host
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                await self._inspector.inspect_at_registry(check.image, check.registry)
        except NotAnImageError as error:
            return error
        except (RegistryNotFoundError, RegistryDeniedError):
            # An answer at once; the deploy says the same.
            return None
        except (TagboatError, TimeoutError) as error:
            log.info(
                "pushed tag not looked up: its deploy will find out if it is an image",
                action="inspect",
                image=str(check.image),
                reason=str(error) or "it took too long",
            )
            now = self._clock()
            self._silent_until = {
                name: until for name, until in self._silent_until.items() if until > now
            }
            self._silent_until[host] = now + SILENCE_S
        return None


def _is_known_image(tag: KnownTag | None) -> bool:
    """Return whether the tag is known, and not as something that was refused."""
    return tag is not None and (tag.verdict is None or tag.verdict.outcome is not Outcome.REFUSED)
