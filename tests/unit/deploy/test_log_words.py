import re
from pathlib import Path

import pytest

import tagboat.deploy
from tagboat.core.errors import StoreUnavailableError
from tagboat.deploy.context import read_context
from tagboat.deploy.log_words import deploy_words, words_about
from tests.unit.deploy.conftest import NOT_OF_ONE_DEPLOY
from tests.unit.deploy.deploy_harness import World


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_deploy_and_its_instance_have_the_same_words(world: World) -> None:
    instance = await world.ship("v1")
    context = await world.store.read(lambda reader: read_context(reader, instance.deploy_id))
    words = {"deploy": instance.deploy_id, "project": "app", "stage": "dev", "tag": "v1"}
    assert deploy_words(context) == words
    assert await words_about(world.store, instance) == words
    assert await words_about(world.store, context.deploy) == words


@pytest.mark.anyio
async def test_names_that_cannot_be_read_are_ids(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = await world.ship("v1")

    async def away(_work: object) -> None:
        raise StoreUnavailableError("no database")

    monkeypatch.setattr(world.store, "read", away)
    found = await words_about(world.store, instance)
    assert (found["project"], found["stage"]) == (instance.project_id, instance.stage_id)


def test_each_event_that_names_no_deploy_is_one_that_is_logged() -> None:
    room = Path(str(tagboat.deploy.__file__)).parent
    source = "".join(path.read_text() for path in (*room.glob("*.py"), room.parent / "loops.py"))
    logged = set(re.findall(r'"([a-z][^"{}]+)"', source))
    assert sorted(NOT_OF_ONE_DEPLOY - logged) == []
