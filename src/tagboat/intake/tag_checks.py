"""Questions to the registry about pushed tags of a project: is it an image?

A chart or a signature is then refused in the answer to its push, also where the tag was an image
until now. Without an answer in time the push is admitted, and its deploy finds out. A sender must
not wait long for this, and many calls must not slow down the rest: so the questions are few, and a
registry that is down is left alone.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from msgspec import Struct

from tagboat.core.catalog import KnownTag, Registry
from tagboat.core.errors import ANSWERS_ABOUT_A_TAG, NotAnImageError, TagboatError
from tagboat.core.image import ImageRef
from tagboat.core.ports import ImageInspector, Reader, Store
from tagboat.core.push import Outcome, Push
from tagboat.core.rate import Bucket, Rate
from tagboat.core.values import replace
from tagboat.intake.admit import as_stored
from tagboat.intake.inspections import Inspected, InspectionResult

CHECK_LIMIT_S = 1.0
"""Seconds for which a sender waits for the answer."""
CHECKS = Rate(per_s=5, burst=40)
"""Questions, of all calls together; beyond that, pushes are admitted without one."""
CHECKS_OF_CALL = 20
"""Questions for one call at most."""
SILENCE_S = 30.0
"""Seconds for which a registry that did not answer is not asked."""

log = structlog.get_logger("tagboat.intake")


class TagQuestion(Struct, frozen=True):
    """A question: an image by its tag, as its registry stores that, and the registry."""

    image: ImageRef
    registry: Registry | None


class TagChecks:
    """Finds the tags to ask about, and asks. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        store: Store,
        inspector: ImageInspector,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._inspector = inspector
        self._clock = clock
        self._bucket = Bucket(CHECKS.burst)
        self._silent_until: dict[str, float] = {}

    async def check(self, pushes: Sequence[Push]) -> Inspected:
        """Return what the tags of a call are, None for those of which the registry did not say it.

        Raises StoreUnavailableError.
        """
        now = self._clock()
        askable = [
            push for push in pushes if self._silent_until.get(push.image.name.host, now) <= now
        ]
        if not askable or self._bucket.wait(CHECKS, now):
            return {}
        # Spent before the answer: calls that come meanwhile must find it gone.
        most = min(len(askable), CHECKS_OF_CALL, int(self._bucket.tokens))
        self._bucket.tokens -= most
        questions = await self._store.read(lambda reader: _questions(reader, askable, most))
        self._bucket.tokens += most - len(questions)
        found = await asyncio.gather(*map(self._ask, questions))
        return dict(zip([one.image for one in questions], found, strict=True))

    async def _ask(self, question: TagQuestion) -> InspectionResult:
        host = question.image.name.host
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                return await self._inspector.inspect_at_registry(question.image, question.registry)
        except NotAnImageError as error:
            return error
        except ANSWERS_ABOUT_A_TAG:
            # The deploy says the same.
            return None
        except (TagboatError, TimeoutError) as error:
            log.info(
                "pushed tag not looked up: its deploy will find out if it is an image",
                action="inspect",
                image=str(question.image),
                reason=str(error) or "it took too long",
            )
            now = self._clock()
            self._silent_until = {
                name: until for name, until in self._silent_until.items() if until > now
            }
            self._silent_until[host] = now + SILENCE_S
        return None


def _questions(reader: Reader, pushes: Sequence[Push], most: int) -> list[TagQuestion]:
    projects = reader.projects_by_image({push.image.name for push in pushes})
    registries = {name: reader.registry_of(project) for name, project in projects.items()}
    # Tags that may be no images come first: a call may ask about few.
    unsure: dict[ImageRef, TagQuestion] = {}
    known: dict[ImageRef, TagQuestion] = {}
    for push in pushes:
        project = projects.get(push.image.name)
        # An image without a project is inspected if it is to become one.
        if project is None:
            continue
        registry = registries[push.image.name]
        stored = as_stored(push, registry.kind if registry else None)
        image = replace(stored.image, digest=None)
        is_known = _is_known_image(reader.known_tag(project.id, image.tag))
        (known if is_known else unsure)[image] = TagQuestion(image, registry)
    return [*unsure.values(), *known.values()][:most]


def _is_known_image(tag: KnownTag | None) -> bool:
    """Return whether the tag is known, and not as something that was refused."""
    return tag is not None and (tag.verdict is None or tag.verdict.outcome is not Outcome.REFUSED)
