"""What whoever knows a webhook URL cannot do with it: make the server slow, fill its disk, or run
what no tag points to.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tagboat.core.auto_create import MOST_NEW_PROJECTS, MOST_PUSHES
from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.config import DELIVERIES_KEEP, MAX_PROJECTS
from tagboat.core.delivery import MAX_REFUSED_BODY, Delivery
from tagboat.core.deploy import TakenBack
from tagboat.core.errors import NotAnImageError, RegistryNotFoundError
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.core.ports import Tx
from tagboat.core.rate import Rate
from tagboat.core.tags import parse_tag_pattern
from tagboat.deploy.queue import DeployQueue
from tagboat.intake import inspections, ledger, prune
from tagboat.store import SqlStore, open_store
from tagboat.webhook import WebhookHandler, regenerate_webhook_secret
from tests.support.asgi import Answer, Caller
from tests.support.pace import at_most_s

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOST = "git.example.com"
ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
MANY = 500
"""Projects that are there already."""


@dataclass(slots=True)
class Inspector:
    """A registry that has charts under tags that begin with `chart`; `silent` it never answers."""

    silent: bool = False
    asked: list[ImageRef] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def inspect_image(self, image_ref: ImageRef) -> ImageInfo:
        self.asked.append(image_ref)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await (asyncio.Event().wait() if self.silent else asyncio.sleep(0))
        finally:
            self.at_once -= 1
        if image_ref.tag.startswith("chart"):
            raise NotAnImageError(
                f"{image_ref} is no container image: it is "
                "'application/vnd.cncf.helm.config.v1+json'"
            )
        if image_ref.tag.startswith("none"):
            raise RegistryNotFoundError(f"there is no {image_ref}")
        return ImageInfo(tcp_ports=(8080,))

    async def inspect_at_registry(
        self, image_ref: ImageRef, _registry: Registry | None
    ) -> ImageInfo:
        return await self.inspect_image(image_ref)


@dataclass(frozen=True, slots=True)
class Gate:
    store: SqlStore
    inspector: Inspector
    caller: Caller
    secret: str

    async def send(self, body: object, headers: dict[str, str] | None = None) -> Answer:
        return await self.caller.call("POST", f"/{self.secret}", body, headers)

    async def push(self, *images: str) -> list[dict[str, Any]]:
        """What came of a call with these images of `HOST`."""
        answer = await self.send(events(*images))
        assert answer.status == 202
        pushes: list[dict[str, Any]] = answer.json["pushes"]
        return pushes

    async def deliveries(self) -> list[Delivery]:
        """All that is kept, newest first."""
        return await self.store.read(
            lambda reader: [reader.delivery(found.id) for found in reader.deliveries()]
        )

    async def projects(self) -> int:
        return await self.store.read(lambda reader: reader.count_projects())


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    store, inspector = open_store(None, tmp_path), Inspector()
    secret = await regenerate_webhook_secret(store)
    handler = WebhookHandler(store, DeployQueue(lambda: NOW), inspector)
    yield Gate(store, inspector, Caller(handler.router()), secret)
    store.close()


def events(*images: str) -> dict[str, object]:
    """As a Distribution registry tells of them."""
    made = []
    for image in images:
        repository, _, tag = image.partition(":")
        made.append(
            {
                "action": "push",
                "target": {"repository": repository, "tag": tag},
                "request": {"host": HOST},
            },
        )
    return {"events": made}


def a_megabyte(image: Callable[[int], str]) -> dict[str, object]:
    """As many events as fit into a call."""
    each = len(json.dumps(events(image(99_999)))) - len(json.dumps(events())) + 2
    return events(*map(image, range((1 << 20) // each - 1)))


async def add_many(store: SqlStore) -> None:
    def work(tx: Tx) -> None:
        for number in range(MANY):
            add_project(tx, f"p{number}", f"there/p{number}")

    await store.write(work)


def add_project(tx: Tx, name: str, path: str) -> Stage:
    project = Project(id=new_id(), name=name, image=ImageName(HOST, path), created_at=NOW)
    stage = Stage(
        id=new_id(),
        project_id=project.id,
        name="dev",
        pattern=parse_tag_pattern("*"),
        created_at=NOW,
    )
    tx.add_project(project)
    tx.add_stage(stage)
    return stage


@contextmanager
def statements(store: SqlStore) -> Iterator[list[str]]:
    """What the database is asked meanwhile by who writes."""
    seen: list[str] = []

    def note(*words: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        seen.append(str(words[2]))

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store._engine, "before_cursor_execute", note)


def outcomes(pushes: list[dict[str, Any]]) -> list[str]:
    return [push["outcome"] for push in pushes]


# What one call may cause.


async def test_a_megabyte_of_unknown_images_makes_few_projects_and_says_of_each_why(
    gate: Gate,
) -> None:
    await add_many(gate.store)
    call = a_megabyte(lambda number: f"x{number}/app:v1")
    with at_most_s(2):
        answer = await gate.send(call)
    assert answer.status == 202
    pushes = answer.json["pushes"]
    assert len(pushes) == len(call["events"]) > 5000  # type: ignore[arg-type]  # a list, as made above
    assert outcomes(pushes[:MOST_NEW_PROJECTS]) == ["queued"] * MOST_NEW_PROJECTS
    assert set(outcomes(pushes[MOST_NEW_PROJECTS:])) == {"refused"}
    assert "one call makes 20 projects at most" in pushes[MOST_NEW_PROJECTS]["reason"]
    assert "after the first 100 pushes of its call" in pushes[MOST_PUSHES]["reason"]
    assert await gate.projects() == MANY + MOST_NEW_PROJECTS
    assert len(gate.inspector.asked) == MOST_NEW_PROJECTS
    (kept,) = await gate.deliveries()
    assert len(kept.receipt.pushes) == 200
    assert "more pushes are not kept here" in str(kept.receipt.reason)


async def test_what_a_call_asks_of_the_database_does_not_grow_with_what_is_there(
    gate: Gate,
) -> None:
    call = events(*(f"one{number}/app:v1" for number in range(30)))
    with statements(gate.store) as few:
        await gate.send(call)
    await add_many(gate.store)
    again = events(*(f"two{number}/app:v1" for number in range(30)))
    with statements(gate.store) as many:
        await gate.send(again)
    assert len(many) <= len(few) < 40 * MOST_NEW_PROJECTS
    assert await gate.projects() == MANY + 2 * MOST_NEW_PROJECTS


async def test_calls_with_a_registry_that_never_answers(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspections, "MANY_LIMIT_S", 0.2)
    gate.inspector.silent = True
    calls = [gate.push(*(f"x{call}-{number}/app:v1" for number in range(30))) for call in range(4)]
    async with asyncio.timeout(300):
        told = await asyncio.gather(*calls)
    assert [outcomes(pushes).count("queued") for pushes in told] == [MOST_NEW_PROJECTS] * 4
    assert gate.inspector.most_at_once == inspections.INSPECTIONS


async def test_projects_are_made_unasked_until_there_are_enough(gate: Gate) -> None:
    await gate.store.write(lambda tx: tx.put_setting(MAX_PROJECTS, 2))
    pushes = await gate.push("a/app:v1", "b/app:v1", "c/app:v1")
    assert outcomes(pushes) == ["queued", "queued", "refused"]
    assert "max_projects" in pushes[2]["reason"]
    assert outcomes(await gate.push("a/app:v2", "d/app:v1")) == ["queued", "refused"]


async def test_a_projects_name_is_free_however_many_have_the_same(gate: Gate) -> None:
    names = [
        push["project"]["name"]
        for call in range(3)
        for push in await gate.push(*(f"t{call}-{n}/app:v1" for n in range(20)))
    ]
    assert len(set(names)) == 60
    assert names[:3] == ["app", "app-2", "app-3"]


async def test_the_stage_made_with_a_project_comes_after_those_of_people(gate: Gate) -> None:
    (push,) = await gate.push("a/app:v1")
    stage = await gate.store.read(lambda reader: reader.stage(push["stage"]["id"]))
    assert stage.position == 1000


# What is no image.


async def test_what_is_no_image_becomes_no_project(gate: Gate) -> None:
    pushes = await gate.push("acme/chart:chart-1", "acme/app:v1")
    assert outcomes(pushes) == ["refused", "queued"]
    assert (
        "is no container image: it is 'application/vnd.cncf.helm.config.v1+json'"
        in pushes[0]["reason"]
    )
    assert await gate.projects() == 1


@pytest.mark.parametrize(
    "order", [("acme/app:chart-1", "acme/app:v1"), ("acme/app:v1", "acme/app:chart-1")]
)
async def test_an_image_beside_a_chart_becomes_one(gate: Gate, order: tuple[str, ...]) -> None:
    pushes = await gate.push(*order)
    told = {push["tag"]: push["outcome"] for push in pushes}
    assert told["v1"] == "queued"
    assert await gate.projects() == 1


async def test_a_chart_that_is_looked_at_meanwhile_keeps_no_image_away(gate: Gate) -> None:
    chart = asyncio.create_task(gate.push("acme/app:chart-1"))
    assert outcomes(await gate.push("acme/app:v1")) == ["queued"]
    await chart


async def test_a_crowd_of_charts_of_one_name_is_looked_at_in_part(gate: Gate) -> None:
    pushes = await gate.push(*(f"acme/app:chart-{number}" for number in range(90)))
    assert set(outcomes(pushes)) == {"refused"}
    assert (await gate.projects(), len(gate.inspector.asked)) == (0, MOST_NEW_PROJECTS)


async def test_what_nobody_could_look_at_becomes_a_project(gate: Gate) -> None:
    assert outcomes(await gate.push("acme/app:none")) == ["queued"]


# A digest is a hint.


async def test_naming_what_was_taken_back_with_another_tag_does_not_keep_that_away(
    gate: Gate,
) -> None:
    def work(tx: Tx) -> None:
        stage = add_project(tx, "app", "acme/app")
        tx.put_taken_back(
            TakenBack(
                stage_id=stage.id,
                digest=ONE,
                fingerprint="f",
                tag="v1",
                reason="it sickened",
                at=NOW,
            )
        )
        known = partial(KnownTag, project_id=stage.project_id, first_seen=NOW, source="webhook")
        tx.record_tag(known(tag="v1", digest=ONE))
        tx.record_tag(known(tag="v2", digest=TWO))

    await gate.store.write(work)

    async def push(tag: str) -> str:
        answer = await gate.send({"image": f"{HOST}/acme/app:{tag}", "digest": ONE})
        return str(answer.json["pushes"][0]["outcome"])

    assert [await push(tag) for tag in ("v1", "v2", "v3")] == ["waiting", "queued", "queued"]


# What is kept.


async def test_a_flood_of_nonsense_leaves_little_behind(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    burst = ledger.REFUSED_CALLS.burst
    monkeypatch.setattr(ledger, "REFUSED_CALLS", Rate(per_s=0.01, burst=burst))
    for _ in range(burst + 50):
        assert (await gate.send(b"x" * 65_000, {"x-padding": "y" * 30_000})).status == 400
    kept = await gate.deliveries()
    assert burst <= len(kept) <= burst + 20
    assert {(len(one.body), one.truncated) for one in kept} == {(MAX_REFUSED_BODY, True)}
    assert max(len(value) for one in kept for value in one.headers.values()) == 1024


async def test_many_headers_are_not_all_kept(gate: Gate) -> None:
    await gate.send(
        {"image": f"{HOST}/acme/app:v1"}, {f"x-{number}": "y" * 1000 for number in range(60)}
    )
    (kept,) = await gate.deliveries()
    assert sum(len(name) + len(value) for name, value in kept.headers.items()) <= 8 * 1024


async def test_bodies_are_kept_until_they_are_too_much(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "BYTES", Rate(per_s=1, burst=100_000))
    for _ in range(5):
        assert (
            await gate.send({"image": f"{HOST}/acme/app:v1", "padding": "x" * 40_000})
        ).status == 202
    bodies = [len(one.body) for one in await gate.deliveries()]
    assert [size > 0 for size in bodies] == [False, False, True, True, True]
    newest = (await gate.deliveries())[0]
    assert newest.truncated
    assert newest.receipt.pushes[0].outcome == "merged"


async def test_who_has_ever_more_deployed_is_told_to_come_back(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "DEPLOYS", Rate(per_s=0.1, burst=3))
    statuses = [
        (await gate.send({"image": f"{HOST}/acme/app:v{number}"})).status
        for number in (1, 1, 2, 2, 3, 4)
    ]
    assert statuses == [202, 202, 202, 202, 202, 429]
    refused = await gate.send({"image": f"{HOST}/acme/app:v4"})
    assert 1 <= int(refused.headers["retry-after"]) <= 10


async def test_far_too_many_deliveries_are_forgotten_as_they_come(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "_LOOK_S", 0)
    await gate.store.write(lambda tx: tx.put_setting(DELIVERIES_KEEP, 100))
    task = asyncio.create_task(prune.keep_pruning(gate.store, lambda: datetime.now(UTC)))
    try:
        for _ in range(201):
            await gate.send({"image": f"{HOST}/acme/app:v1"})
        async with asyncio.timeout(60):
            while len(await gate.store.read(lambda reader: reader.deliveries())) > 100:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
