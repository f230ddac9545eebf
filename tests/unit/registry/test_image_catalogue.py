import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryNotFoundError,
    RegistryProtocolError,
    RegistryRateLimitedError,
)
from tagboat.registry import image_catalogue
from tagboat.registry.client import RegistryClient
from tests.support.fake_registry import GITEA, FakeRegistry, fake_registry, json_body, status

CATALOGUE = "GET /v2/_catalog"


def registry(
    fake: FakeRegistry,
    kind: RegistryKind = RegistryKind.OCI,
    password: str | None = None,
    path: str = "",
    username: str = "ci",
) -> Registry:
    return Registry(
        id="r1", name="ours", url=fake.url + path, kind=kind, username=username, password=password
    )


def gitea(
    fake: FakeRegistry,
    password: str | None = "secret",  # noqa: S107 - the fake's
    **more: str,
) -> Registry:
    return registry(fake, RegistryKind.GITEA, password, **more)


async def names(client: RegistryClient, entry: Registry) -> list[str]:
    found = await client.list_images(entry)
    assert found.whole
    assert {image.host for image in found.images} <= {entry.host.partition("/")[0]}
    return [image.path for image in found.images]


@pytest.mark.anyio
async def test_the_catalogue_page_by_page(client: RegistryClient) -> None:
    async with fake_registry(page_size=2, auth="bearer") as fake:
        for path in ("acme/app", "acme/nested/app", "other", "Wrong Name"):
            fake.tags[path] = ["v1"]
        assert await names(client, registry(fake)) == ["acme/app", "acme/nested/app", "other"]
        assert fake.asked[1].path == "/token?service=fake&scope=registry:catalog:*"
        assert [path for path in fake.paths() if "token" not in path][1:] == [
            CATALOGUE,
            f"{CATALOGUE}?n=2&last=acme/app",
        ]


@pytest.mark.anyio
async def test_a_name_that_no_image_can_have_is_not_made_one(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.tags |= {"acme/app": ["v1"], "Acme/Other": ["v1"]}
        assert await names(client, registry(fake)) == ["acme/app"]


@pytest.mark.anyio
async def test_a_catalogue_that_goes_in_circles_ends(client: RegistryClient) -> None:
    async with fake_registry(
        link='<{path}?n={n}>; rel="next"', link_on_every_page=True, page_size=1
    ) as fake:
        fake.tags["acme/app"] = ["v1"]
        found = await client.list_images(registry(fake))
        assert ([image.path for image in found.images], found.whole) == (["acme/app"], False)
        assert fake.paths() == [CATALOGUE, f"{CATALOGUE}?n=1"]


@pytest.mark.anyio
async def test_an_empty_registry(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        assert await names(client, registry(fake)) == []
        fake.answer_next(json_body({"repositories": None}))
        assert await names(client, registry(fake)) == []


@pytest.mark.anyio
async def test_no_more_than_the_limit_and_it_says_so(
    client: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake_registry(page_size=2) as fake:
        for number in range(5):
            fake.tags[f"app{number}"] = ["v1"]
        for limit, whole in ((1, False), (2, False), (4, False), (5, True), (9, True)):
            found = await client.list_images(registry(fake), limit)
            assert (len(found.images), found.whole) == (min(limit, 5), whole)
        monkeypatch.setattr(image_catalogue, "MAX_CATALOGUE_PAGES", 1)
        found = await client.list_images(registry(fake))
        assert (len(found.images), found.whole) == (2, False)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, RegistryDeniedError),
        (403, RegistryDeniedError),
        (404, RegistryNotFoundError),
        (400, RegistryProtocolError),
        (405, RegistryProtocolError),
        (501, RegistryProtocolError),
    ],
)
async def test_where_there_is_no_catalogue_the_remedy_is_named(
    client: RegistryClient, code: int, kind: type[RegistryError]
) -> None:
    async with fake_registry() as fake:
        fake.answer_next(status(code))
        with pytest.raises(
            kind,
            match=r"does not list its images: type the image's name \(Docker Hub, GHCR",
        ):
            await client.list_images(registry(fake))
        assert len(fake.asked) == 1


@pytest.mark.anyio
async def test_too_many_requests_are_not_taken_for_a_refusal(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        fake.answer_next(status(429))
        with pytest.raises(RegistryRateLimitedError, match="too many requests"):
            await client.list_images(gitea(fake))


@pytest.mark.anyio
async def test_gitea_s_catalogue_names_each_image_once(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        for tag in ("v1", "v2"):
            fake.add_image("acme/app", tag, {"tag": tag})
        assert await names(client, gitea(fake, path="/git")) == ["acme/app"]
        assert not [path for path in fake.paths() if "/api/" in path]


@pytest.mark.anyio
async def test_a_gitea_without_one_is_asked_owner_by_owner(client: RegistryClient) -> None:
    async with fake_registry(GITEA, catalogue=False, organisations=("acme", "empty")) as fake:
        for number in range(30):
            fake.add_image("ci/tool", f"v{number}", {"number": number})
        fake.add_image("acme/app", "v1", {})
        fake.add_image("stranger/app", "v1", {})
        assert await names(client, gitea(fake, path="/git/")) == ["acme/app", "ci/tool"]
        calls = [asked for asked in fake.asked if "/api/" in asked.path]
        assert calls[0].path == "/git/api/v1/user/orgs?limit=50"
        assert calls[1].path == "/git/api/v1/packages/ci?type=container&limit=50&page=1"
        assert all(asked.authorization.startswith("Basic ") for asked in calls)


@pytest.mark.anyio
async def test_a_token_for_packages_alone_shows_the_user_s_own(client: RegistryClient) -> None:
    async with fake_registry(GITEA, catalogue=False, organisations=None) as fake:
        fake.add_image("ci/tool", "v1", {})
        assert await names(client, gitea(fake)) == ["ci/tool"]


@pytest.mark.anyio
async def test_an_empty_catalogue_is_not_gitea_s_last_word(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        fake.add_image("ci/tool", "v1", {})
        fake.answer_next(json_body({"repositories": None}))
        assert await names(client, gitea(fake)) == ["ci/tool"]


@pytest.mark.anyio
async def test_without_a_username_gitea_is_asked_who_this_is(client: RegistryClient) -> None:
    async with fake_registry(GITEA, catalogue=False) as fake:
        fake.add_image("ci/tool", "v1", {})
        answers = [
            json_body({"login": "ci"}),
            json_body([]),
            json_body([{"name": "tool"}, {"name": 5}, "x"]),
            json_body([]),
        ]
        fake.answer_next(status(404), *answers)
        assert await names(client, gitea(fake, username="")) == ["ci/tool"]


@pytest.mark.anyio
async def test_more_packages_than_the_limit(client: RegistryClient) -> None:
    async with fake_registry(GITEA, catalogue=False) as fake:
        for number in range(4):
            fake.add_image(f"ci/tool{number}", "v1", {"number": number})
        found = await client.list_images(gitea(fake), 3)
        assert (len(found.images), found.whole) == (3, False)


@pytest.mark.anyio
async def test_a_gitea_that_tells_nothing_says_what_is_needed(client: RegistryClient) -> None:
    async with fake_registry(GITEA, catalogue=False) as fake:
        with pytest.raises(
            RegistryDeniedError,
            match="only to those who are signed in: enter a username and a token",
        ):
            await client.list_images(gitea(fake, None))
        fake.answer_next(status(404), json_body([]), status(403))
        with pytest.raises(
            RegistryDeniedError,
            match="denied access to the packages of ci although credentials were sent",
        ):
            await client.list_images(gitea(fake))
