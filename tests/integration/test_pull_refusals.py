"""What becomes of a pull when something that is no registry answers the engine in the registry's
place.
"""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from demo.sample_image import SampleApp, build_image, build_index, push
from tagboat.core.errors import EngineDeniedError, EngineError, EngineNotFoundError
from tagboat.core.image import parse_digest, parse_image_name
from tagboat.runtime.docker.engine import DockerRuntime
from tests.faults.registry_front import Fault, Front, registry_front
from tests.support.docker_registry import DockerRegistry
from tests.support.dockerd import remove_images_of
from tests.support.images import push_image

pytestmark = pytest.mark.anyio

PAGE = (
    b"<html>\r\n<head><title>Sorry</title></head>\r\n<body>\r\n<center><h1>Sorry</h1></"
    b"center>\r\n</body>\r\n</html>\r\n"
)
NO_REGISTRY = "not in a registry's words; did a proxy answer in its place?"


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[DockerRuntime]:
    engine = DockerRuntime(engine_url)
    yield engine
    await engine.close()


@pytest.fixture
def front(docker_registry: DockerRegistry, engine_url: str) -> Iterator[Front]:
    with registry_front(docker_registry.host) as front:
        yield front
        remove_images_of(engine_url, front.host)


@pytest.mark.parametrize(
    ("fault", "kind", "retryable", "words"),
    [
        (
            Fault(status=429, page=PAGE),
            EngineError,
            True,
            f"refuses more pulls for now; .*HTTP 429 Too Many Requests, {NO_REGISTRY}",
        ),
        (
            Fault(status=429, page=b""),
            EngineError,
            True,
            f"refuses more pulls for now; .*HTTP 429 Too Many Requests, {NO_REGISTRY}",
        ),
        (
            Fault(status=503, page=PAGE),
            EngineError,
            True,
            "out of order for now. .*503 Service Unavailable",
        ),
        (
            Fault(status=404, page=PAGE),
            EngineNotFoundError,
            False,
            f"has no such image: HTTP 404 Not Found, {NO_REGISTRY}",
        ),
        (
            Fault(status=403, page=b""),
            EngineDeniedError,
            False,
            f"refused the login.*HTTP 403 Forbidden, {NO_REGISTRY}",
        ),
        (
            Fault(status=200, page=PAGE),
            EngineError,
            False,
            "is a proxy in its place, or a login page",
        ),
    ],
    ids=["429 page", "429 empty", "503 page", "404 page", "403 empty", "200 page"],
)
async def test_an_answer_that_is_not_a_registrys(
    engine: DockerRuntime,
    docker_registry: DockerRegistry,
    front: Front,
    fault: Fault,
    kind: type[EngineError],
    retryable: bool,
    words: str,
) -> None:
    path = f"acme/run-{secrets.token_hex(4)}"
    digest = push_image(docker_registry.host, path, "v1", body=path)
    front.fail(fault)
    with pytest.raises(kind, match=words.replace("?", r"\?")) as caught:
        await engine.pull(parse_image_name(f"{front.host}/{path}"), digest, None, lambda _: None)
    assert (type(caught.value), caught.value.retryable) == (kind, retryable)
    assert "<" not in str(caught.value).replace("'<'", "")
    front.mend()
    await engine.pull(parse_image_name(f"{front.host}/{path}"), digest, None, lambda _: None)


async def test_an_address_of_ipv6_in_a_name(engine: DockerRuntime) -> None:
    if int((await engine.version()).partition(".")[0]) >= 23:
        assert await engine.inspect_image("[::1]:5000/acme/app:v1") is None
        return
    with pytest.raises(
        EngineError,
        match="know no IPv6 address in an image's name: give the registry a name, and use that",
    ):
        await engine.inspect_image("[::1]:5000/acme/app:v1")


async def test_an_image_that_is_built_for_other_machines(
    engine: DockerRuntime, docker_registry: DockerRegistry
) -> None:
    path = f"acme/run-{secrets.token_hex(4)}"
    image = build_image(SampleApp(body=path))
    push(docker_registry.host, path, image.digest, image)
    digest = parse_digest(
        push(docker_registry.host, path, "v1", build_index({"linux/s390x": image}))
    )
    with pytest.raises(
        EngineError,
        match=r"is not built for the engine's machine: build it for that.*no matching manifest",
    ):
        await engine.pull(
            parse_image_name(f"{docker_registry.host}/{path}"), digest, None, lambda _: None
        )
