from datetime import UTC, datetime
from itertools import product

import pytest

from tagboat.core.errors import (
    NotAnImageError,
    RegistryDeniedError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RepositoryUnknownError,
)
from tagboat.core.image import Digest, ImageInfo, ImageName, ImageRef
from tagboat.registry.client import RegistryClient
from tagboat.registry.manifests import ACCEPT, OCI_INDEX
from tests.support.fake_registry import FakeRegistry, Quirks, fake_registry, json_body, status

LIST = "GET /v2/acme/app/tags/list"
CONFIG = {
    "created": "2026-11-24T12:00:00Z",
    "config": {
        "ExposedPorts": {"9000/tcp": {}, "80/tcp": {}, "53/udp": {}},
        "Labels": {"tagboat.port": "80"},
        "Healthcheck": {"Test": ["CMD", "true"]},
    },
}


def app(fake: FakeRegistry) -> ImageName:
    return ImageName(fake.host, "acme/app")


def index_of(*entries: tuple[str, str]) -> dict[str, object]:
    listed = [
        {
            "digest": digest,
            "platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True)),
        }
        for digest, platform in entries
    ]
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "link",
    [
        '<{path}?n={n}&last={last}>; rel="next"',
        '<{url}{path}?n={n}&last={last}>; rel="next"',
        '<http://127.0.0.1{path}?n={n}&last={last}>; rel="next"',
        '<http://evil.example.com{path}?n={n}&last={last}>; rel="next"',
        "{path}?n={n}&last={last}",
        "<?n={n}&last={last}>;rel=next",
    ],
)
@pytest.mark.parametrize("every", [True, False])
async def test_every_page_is_read_from_the_registry_itself(
    client: RegistryClient, link: str, *, every: bool
) -> None:
    async with fake_registry(page_size=2, link=link, link_on_every_page=every) as fake:
        fake.tags["acme/app"] = ["e", "d", "c", "b", "a"]
        assert await client.list_tags(app(fake), None) == ["e", "d", "c", "b", "a"]
        assert (
            fake.paths()
            == [LIST, f"{LIST}?n=2&last=d", f"{LIST}?n=2&last=b"] + [f"{LIST}?n=2&last=a"] * every
        )


@pytest.mark.anyio
async def test_a_registry_that_links_in_a_circle_is_left(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.answer_next(
            *[
                json_body({"tags": ["a"]}, {"Link": "</v2/acme/app/tags/list?n=9>; rel=next"})
                for _ in range(9)
            ]
        )
        assert await client.list_tags(app(fake), None) == ["a"]
        assert fake.paths() == [LIST, f"{LIST}?n=9", f"{LIST}?n=2"]


LINKS = [
    Quirks().link,
    "{path}?n={n}&last={last}",
    '<http://127.0.0.1/v2/tags/list?last={last}&n={n}>; rel="next"',
    "<{path}?n={n}>; rel=next",
]


@pytest.mark.anyio
@pytest.mark.parametrize("link", LINKS)
async def test_whatever_a_registry_ignores_or_refuses_a_list_is_whole_or_none(
    client: RegistryClient, link: str
) -> None:
    whole = ["v1", "v2", "v3", "v4", "v5"]
    outcomes = set()
    async with fake_registry() as fake:
        fake.tags["acme/app"] = whole
        flags = product(
            (False, True), (False, True), (False, True), (None, 1, 3, 6), (None, 1, 2, 4, 5, 6)
        )
        for ignores_last, ignores_n, every, refused, size in flags:
            fake.quirks = Quirks(
                link=link,
                ignores_last=ignores_last,
                ignores_n=ignores_n,
                link_on_every_page=every,
                refuses_n_from=refused,
                page_size=size,
            )
            try:
                assert await client.list_tags(app(fake), None) == whole, fake.quirks
                outcomes.add("whole")
            except RegistryProtocolError:
                outcomes.add("none")
    assert outcomes == {"whole", "none"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "second", [status(404), status(400), status(200, body=b"<html>"), status(403)]
)
async def test_part_of_a_list_is_no_list(client: RegistryClient, second: object) -> None:
    async with fake_registry() as fake:
        first = json_body({"tags": ["a"]}, {"Link": "</v2/acme/app/tags/list?n=1>; rel=next"})
        fake.answer_next(first, second)  # type: ignore[arg-type]  # parametrize has no types
        with pytest.raises((RegistryNotFoundError, RegistryProtocolError, RegistryDeniedError)):
            await client.list_tags(app(fake), None)


@pytest.mark.anyio
async def test_tags_may_be_null(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.tags["acme/app"] = []
        assert await client.list_tags(app(fake), None) == []


@pytest.mark.anyio
async def test_an_image_that_is_not_there(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        with pytest.raises(
            RepositoryUnknownError,
            match="has no acme/app .NAME_UNKNOWN: name_unknown says the fake",
        ):
            await client.list_tags(app(fake), None)
        fake.answer_next(json_body({}))
        with pytest.raises(RegistryProtocolError, match="not a list of tags"):
            await client.list_tags(app(fake), None)


@pytest.mark.anyio
async def test_resolve_takes_one_head_with_all_four_types(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        digest = fake.add_image("acme/app", "v1", CONFIG)
        assert await client.resolve(app(fake), "v1", None) == digest
        assert await client.resolve(app(fake), digest, None) == digest
        assert [asked.method for asked in fake.asked] == ["HEAD", "HEAD"]
        assert fake.asked[0].headers["Accept"] == ACCEPT
        assert fake.asked[0].headers["User-Agent"].startswith("tagboat/")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(digest_header=None),
        Quirks(digest_header="sha256:short"),
        *[Quirks(head_status=status) for status in (400, 403, 404, 405, 501)],
    ],
)
async def test_resolve_counts_itself_where_the_registry_does_not_say(
    client: RegistryClient, quirks: Quirks
) -> None:
    async with fake_registry(quirks) as fake:
        digest = fake.add_image("acme/app", "v1", CONFIG)
        assert await client.resolve(app(fake), "v1", None) == digest
        assert [asked.method for asked in fake.asked] == ["HEAD", "GET"]


@pytest.mark.anyio
async def test_resolve_names_the_tag_that_is_missing(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        with pytest.raises(RegistryNotFoundError, match=f"{fake.host} has no acme/app:v9"):
            await client.resolve(app(fake), "v9", None)
        # Some answer every HEAD with 404, so that is no answer yet.
        assert fake.paths() == ["HEAD /v2/acme/app/manifests/v9", "GET /v2/acme/app/manifests/v9"]


@pytest.mark.anyio
async def test_inspect_reads_what_the_image_says(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        digest = Digest(fake.add_image("acme/app", "v1", CONFIG))
        expected = ImageInfo(
            digest,
            (80, 9000),
            {"tagboat.port": "80"},
            has_healthcheck=True,
            healthcheck=("CMD", "true"),
            exposed=("53/udp", "80/tcp", "9000/tcp"),
            created=datetime(2026, 11, 24, 12, tzinfo=UTC),
        )
        assert await client.inspect(ImageRef(app(fake), "v1"), None) == expected
        assert await client.inspect(ImageRef(app(fake), "moved-on", digest), None) == expected


@pytest.mark.anyio
async def test_a_tag_is_identified_without_its_configuration(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        mine = fake.add_image("acme/app", "one", CONFIG)
        index = fake.add_manifest("acme/app", "many", index_of((mine, "linux/amd64")))
        assert await client.identify(ImageRef(app(fake), "one"), None) == mine
        assert await client.identify(ImageRef(app(fake), "many"), None) == index
        assert not [path for path in fake.paths() if "/blobs/" in path]
        layers = [{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json"}]
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": mine}
        signed = {"schemaVersion": 2, "config": config, "layers": layers}
        signature = fake.add_manifest("acme/app", "signature", signed)
        fake.add_manifest("acme/app", "signatures", index_of((signature, "linux/amd64")))
        for tag in ("signature", "signatures"):
            with pytest.raises(NotAnImageError, match=f"acme/app:{tag} is not a container image"):
                await client.identify(ImageRef(app(fake), tag), None)


@pytest.mark.anyio
async def test_inspect_finds_the_platform_in_nested_indexes(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        mine = fake.add_image("acme/app", None, CONFIG)
        other = fake.add_image("acme/app", None, {})
        inner = fake.add_manifest(
            "acme/app",
            None,
            index_of((other, "unknown/unknown"), (other, "linux/arm64"), (mine, "linux/amd64")),
        )
        outer = fake.add_manifest(
            "acme/app", "v1", {"manifests": [{"digest": inner, "mediaType": OCI_INDEX}]}, OCI_INDEX
        )
        info = await client.inspect(ImageRef(app(fake), "v1"), None)
        assert (info.digest, info.tcp_ports) == (outer, (80, 9000))


@pytest.mark.anyio
async def test_inspect_tells_what_is_no_image_by_its_manifest_alone(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        config = {
            "mediaType": "application/vnd.cncf.helm.config.v1+json",
            "digest": "sha256:" + "1" * 64,
        }
        fake.add_manifest("acme/app", "1.2.0", {"schemaVersion": 2, "config": config, "layers": []})
        layer = {
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": "sha256:" + "2" * 64,
        }
        fake.add_manifest(
            "acme/app", "cache", {"schemaVersion": 2, "manifests": [layer]}, OCI_INDEX
        )
        for tag in ("1.2.0", "cache"):
            with pytest.raises(NotAnImageError, match=f"acme/app:{tag} is not a container image"):
                await client.inspect(ImageRef(app(fake), tag), None)
        assert len(fake.asked) == 2


@pytest.mark.anyio
async def test_inspect_reads_no_endless_configuration(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.add_image(
            "acme/app", "v1", {"config": {"Labels": {"tagboat.healthcheck": "/" + "x" * 600_000}}}
        )
        with pytest.raises(RegistryProtocolError):
            await client.inspect(ImageRef(app(fake), "v1"), None)


@pytest.mark.anyio
async def test_inspect_does_not_follow_indexes_for_ever(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        digest = fake.add_image("acme/app", None, CONFIG)
        for depth in range(6):
            tag = "deep" if depth == 5 else None
            digest = fake.add_manifest(
                "acme/app", tag, {"manifests": [{"digest": digest}]}, OCI_INDEX
            )
        with pytest.raises(RegistryProtocolError, match="nested more than 4 deep"):
            await client.inspect(ImageRef(app(fake), "deep"), None)


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["manifest", "config"])
async def test_content_that_does_not_match_its_digest_is_refused(
    client: RegistryClient, what: str
) -> None:
    async with fake_registry() as fake:
        digest = Digest(fake.add_image("acme/app", "v1", CONFIG))
        for key, (media_type, body) in list(fake.contents.items()):
            if (b"ExposedPorts" in body) == (what == "config"):
                fake.contents[key] = (media_type, body + b" ")
        with pytest.raises(RegistryProtocolError, match="does not match its digest"):
            await client.inspect(ImageRef(app(fake), "v1", digest), None)


@pytest.mark.anyio
async def test_a_tag_whose_stated_digest_is_another_s_is_refused(client: RegistryClient) -> None:
    async with fake_registry(digest_header="sha256:" + "a" * 64) as fake:
        fake.add_image("acme/app", "v1", CONFIG)
        with pytest.raises(RegistryProtocolError, match="acme/app:v1 does not match its digest"):
            await client.inspect(ImageRef(app(fake), "v1"), None)


@pytest.mark.anyio
async def test_blobs_may_be_elsewhere_and_the_login_stays_at_home(client: RegistryClient) -> None:
    async with fake_registry() as storage, fake_registry(auth="bearer") as fake:
        fake.add_image("acme/app", "v1", CONFIG)
        await client.list_tags(app(fake), None)
        config = next(body for _, body in fake.contents.values() if b"ExposedPorts" in body)
        away = status(307, {"Location": f"{storage.url}/bucket/x?X-Signature=a%2Fb%3D&y=%20"})
        fake.answer_next(lambda _: None, away)
        storage.answer_next(status(200, body=config))
        info = await client.inspect(ImageRef(app(fake), "v1"), None)
        assert info.tcp_ports == (80, 9000)
        assert fake.asked[-1].authorization.startswith("Bearer ")
        assert [(asked.path, asked.authorization) for asked in storage.asked] == [
            ("/bucket/x?X-Signature=a%2Fb%3D&y=%20", "")
        ]


@pytest.mark.anyio
@pytest.mark.parametrize("code", [401, 403, 404, 400])
async def test_storage_that_refuses_is_named_without_its_signature(
    client: RegistryClient, code: int
) -> None:
    async with fake_registry() as storage, fake_registry() as fake:
        fake.add_image("acme/app", "v1", CONFIG)
        fake.answer_next(
            lambda _: None, status(307, {"Location": f"{storage.url}/x?X-Signature=very-secret"})
        )
        storage.answer_next(status(code, {"WWW-Authenticate": 'Basic realm="x"'}))
        with pytest.raises(
            (RegistryDeniedError, RegistryNotFoundError, RegistryProtocolError)
        ) as caught:
            await client.inspect(ImageRef(app(fake), "v1"), None)
        assert "very-secret" not in str(caught.value)
        assert len(storage.asked) == 1


@pytest.mark.anyio
async def test_an_answer_that_is_too_large_is_refused(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.answer_next(*[status(200, body=b"[" * (1024 * 1024 + 1))] * 2)
        with pytest.raises(RegistryProtocolError, match="answered with more than 1048576 bytes"):
            await client.list_tags(app(fake), None)
        assert [asked.path for asked in fake.asked] == [
            "/v2/acme/app/tags/list",
            "/v2/acme/app/tags/list?n=1000",
        ]


@pytest.mark.anyio
async def test_a_list_too_long_for_one_answer_comes_in_pages(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        tags = [f"{number:0120}" for number in range(10_000)]
        fake.tags["acme/app"] = tags
        assert await client.list_tags(app(fake), None) == tags
        assert len(fake.asked) == 11


@pytest.mark.anyio
async def test_a_huge_error_page_is_no_hindrance(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.answer_next(status(418, body=b"x" * 1_000_000))
        with pytest.raises(RegistryProtocolError, match="answered with status 418"):
            await client.list_tags(app(fake), None)
