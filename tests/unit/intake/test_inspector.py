"""Who is asked what an image says of itself, and in which order."""

from pathlib import Path

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import EngineUnavailableError, RegistryNotFoundError
from tagboat.core.ids import new_id
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef, parse_image_ref
from tagboat.intake.inspector import EngineThenRegistry
from tagboat.runtime.memory import MemoryRuntime
from tagboat.store import open_store

pytestmark = pytest.mark.anyio

REF = parse_image_ref("git.example.com/acme/app:v1@sha256:" + "1" * 64)
ON_ENGINE, IN_REGISTRY = ImageInfo(tcp_ports=(1,)), ImageInfo(tcp_ports=(2,))
FORGE = Registry(id=new_id(), name="forge", url="https://git.example.com", kind=RegistryKind.GITEA)


class Engine(MemoryRuntime):
    """An engine that knows one image by the names in `names`, or is away."""

    names: tuple[str, ...] = ()
    away = False

    async def inspect_image(self, image: str) -> ImageInfo | None:
        if self.away:
            raise EngineUnavailableError("no engine")
        return ON_ENGINE if image in self.names else None


class TagSource:
    """A registry that has every image or none; `asked` is by whose credentials it was asked."""

    def __init__(self, *, has: bool = True) -> None:
        self.has = has
        self.asked: list[Registry | None] = []

    async def list_tags(self, _image: ImageName, _registry: Registry | None) -> list[str]:
        raise AssertionError("nobody asked for tags")

    async def resolve(self, _image: ImageName, _tag: str, _registry: Registry | None) -> Digest:
        raise AssertionError("nobody asked for a digest")

    async def inspect(self, image: ImageRef, registry: Registry | None) -> ImageInfo:
        self.asked.append(registry)
        if not self.has:
            raise RegistryNotFoundError(f"there is no {image}")
        return IN_REGISTRY

    async def identify(self, image: ImageRef, _registry: Registry | None) -> Digest:
        raise AssertionError(f"nobody asked what {image} is")


async def inspect(
    folder: Path, engine: Engine, source: TagSource, ref: ImageRef = REF, *, registry: bool = False
) -> ImageInfo:
    store = open_store(None, folder)
    try:
        if registry:
            await store.write(lambda tx: tx.add_registry(FORGE))
        return await EngineThenRegistry(engine, source, store, checks=source).inspect_image(ref)
    finally:
        store.close()


@pytest.mark.parametrize("ref", [REF, ImageRef(REF.name, REF.tag)])
async def test_the_engine_is_asked_first_by_digest_where_there_is_one(
    tmp_path: Path, ref: ImageRef
) -> None:
    engine, source = Engine(), TagSource()
    engine.names = (f"{REF.name}@{REF.digest}",) if ref.digest else (f"{REF.name}:{REF.tag}",)
    assert await inspect(tmp_path, engine, source, ref) == ON_ENGINE
    assert source.asked == []


@pytest.mark.parametrize("away", [True, False])
async def test_else_the_registry_with_what_is_configured_for_its_host(
    tmp_path: Path, away: bool
) -> None:
    engine, source = Engine(), TagSource()
    engine.away = away
    assert await inspect(tmp_path, engine, source, registry=True) == IN_REGISTRY
    assert source.asked == [FORGE]


async def test_a_registry_that_nobody_configured_is_asked_anonymously(tmp_path: Path) -> None:
    source = TagSource()
    assert await inspect(tmp_path, Engine(), source) == IN_REGISTRY
    assert source.asked == [None]


async def test_when_neither_can_tell_the_registrys_error_says_why(tmp_path: Path) -> None:
    with pytest.raises(RegistryNotFoundError, match="acme/app"):
        await inspect(tmp_path, Engine(), TagSource(has=False))
