from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tagboat.core.catalog import Project, Registry, RegistryKind, judged_tag
from tagboat.core.errors import (
    NotAnImageError,
    RegistryFailedError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryUnreachableError,
    TagboatError,
)
from tagboat.core.image import ImageInfo, ImageRef, parse_image_name, parse_image_ref
from tagboat.core.push import Outcome, Push, PushVerdict, Source
from tagboat.intake.tag_checks import CHECKS, CHECKS_OF_CALL, SILENCE_S, TagChecks
from tagboat.store import SqlStore, open_store

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "git.example.com/acme/app"
PROJECT = Project(id="p", name="app", image=parse_image_name(NAME), created_at=NOW)


@dataclass(slots=True)
class Inspector:
    """Answers with `error`, if there is one; `asked` are the images asked about."""

    error: TagboatError | None = None
    asked: list[ImageRef] = field(default_factory=list)

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        raise AssertionError(f"the engine knows nothing of a new tag: {image_ref}")

    async def inspect_at_registry(
        self, image_ref: ImageRef, _registry: Registry | None
    ) -> ImageInfo:
        self.asked.append(image_ref)
        if self.error:
            raise self.error
        return ImageInfo()


@dataclass(slots=True)
class Desk:
    store: SqlStore
    inspector: Inspector
    now: float = 1000.0
    checks: TagChecks = field(init=False)

    def __post_init__(self) -> None:
        self.checks = TagChecks(self.store, self.inspector, clock=lambda: self.now)

    async def check(self, *refs: str) -> dict[str, object]:
        """What comes of the tags asked about for a call that names `refs`."""
        found = await self.checks.check(
            [Push(parse_image_ref(ref), Source.WEBHOOK) for ref in refs]
        )
        assert list(found) == self.inspector.asked
        self.inspector.asked.clear()
        return {image.tag: result for image, result in found.items()}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = open_store(None, tmp_path)
    await store.write(lambda tx: tx.add_project(PROJECT))
    yield Desk(store, Inspector())
    store.close()


async def judge(desk: Desk, tag: str, outcome: Outcome) -> None:
    verdict = PushVerdict(at=NOW, source=Source.WEBHOOK, outcome=outcome, reason="", deploy=None)
    await desk.store.write(lambda tx: tx.record_tag(judged_tag("p", tag, None, verdict)))


async def test_tags_of_projects_are_asked_about_those_not_known_as_images_first(desk: Desk) -> None:
    await judge(desk, "known", Outcome.UNMATCHED)
    await judge(desk, "chart", Outcome.REFUSED)
    refs = [f"{NAME}:{tag}" for tag in ("known", "chart", "new")]
    assert list(await desk.check(*refs)) == ["chart", "new", "known"]
    # An image without a project is inspected elsewhere.
    assert await desk.check("git.example.com/acme/other:new") == {}


async def test_a_tag_known_as_an_image_may_be_something_else_now(desk: Desk) -> None:
    await judge(desk, "known", Outcome.QUEUED)
    desk.inspector.error = NotAnImageError("a chart")
    assert await desk.check(f"{NAME}:known") == {"known": desk.inspector.error}


async def test_the_tag_is_asked_about_as_its_registry_stores_it(desk: Desk) -> None:
    forge = Registry(id="r", name="forge", url="https://git.example.com", kind=RegistryKind.GITEA)
    await desk.store.write(lambda tx: tx.add_registry(forge))
    assert await desk.check(f"{NAME}:V1", f"{NAME}:v1") == {"v1": ImageInfo()}


async def test_many_calls_and_large_ones_ask_little(desk: Desk) -> None:
    many = [f"{NAME}:v{number}" for number in range(150)]
    assert len(await desk.check(*many)) == CHECKS_OF_CALL
    asked = 0
    for ref in many:
        asked += len(await desk.check(ref))
    assert asked == CHECKS.burst - CHECKS_OF_CALL
    desk.now += 2.5 / CHECKS.per_s
    assert len(await desk.check(*many)) == 2


async def test_images_without_a_project_use_nothing_up(desk: Desk) -> None:
    for _ in range(CHECKS.burst + 1):
        assert await desk.check("git.example.com/acme/other:new") == {}
    assert await desk.check(f"{NAME}:v1") == {"v1": ImageInfo()}


async def test_what_is_not_an_image_is_said_and_what_cannot_be_read_is_not(desk: Desk) -> None:
    desk.inspector.error = NotAnImageError("a chart")
    assert await desk.check(f"{NAME}:v1") == {"v1": desk.inspector.error}
    desk.inspector.error = RegistryNotFoundError("no such tag")
    assert await desk.check(f"{NAME}:v1") == {"v1": None}
    assert await desk.check(f"{NAME}:v1") == {"v1": None}


@pytest.mark.parametrize("error", [RegistryFailedError("500"), RegistryProtocolError("no JSON")])
async def test_one_bad_tag_hides_no_other(desk: Desk, error: TagboatError) -> None:
    desk.inspector.error = error
    assert await desk.check(f"{NAME}:bad") == {"bad": None}
    desk.inspector.error = NotAnImageError("a chart")
    assert await desk.check(f"{NAME}:v1") == {"v1": desk.inspector.error}


async def test_a_registry_that_does_not_answer_is_left_alone_for_a_while(desk: Desk) -> None:
    desk.inspector.error = RegistryUnreachableError("no answer")
    assert await desk.check(f"{NAME}:v1") == {"v1": None}
    assert await desk.check(f"{NAME}:v2") == {}
    desk.now += SILENCE_S
    assert await desk.check(f"{NAME}:v2") == {"v2": None}
