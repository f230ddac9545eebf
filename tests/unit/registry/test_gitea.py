import pytest
from yarl import URL

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import RegistryDeniedError, RegistryNotFoundError, RegistryUnreachableError
from tagboat.core.image import ImageName
from tagboat.registry import gitea
from tagboat.registry.client import RegistryClient
from tests.support.clock import FakeClock
from tests.support.fake_registry import GITEA, FakeRegistry, fake_registry, json_body, status

LIST = "GET /v2/acme/app/tags/list"
TOKEN = "GET /v2/token?service=container_registry&scope=repository:acme/app:pull"
UNREACHABLE = (
    'Bearer realm="http://127.0.0.1:1/v2/token",service="container_registry",scope="*"',
    'Basic realm="x"',
)


def app(fake: FakeRegistry) -> ImageName:
    return ImageName(fake.host, "acme/app")


def registry(
    fake: FakeRegistry,
    password: str | None = "secret",  # noqa: S107 - the fake's
    path: str = "",
) -> Registry:
    username = "ci" if password else ""
    return Registry(
        id="r1",
        name="git",
        url=fake.url + path,
        kind=RegistryKind.GITEA,
        username=username,
        password=password,
    )


@pytest.mark.anyio
@pytest.mark.parametrize("password", ["secret", None])
async def test_at_rest_one_request_each(client: RegistryClient, password: str | None) -> None:
    async with fake_registry(GITEA) as fake:
        digest = fake.add_image("acme/app", "V1", {})
        assert await client.list_tags(app(fake), registry(fake, password)) == ["v1"]
        assert fake.paths() == [LIST, TOKEN, LIST]
        assert bool(fake.asked[1].authorization) is (password is not None)
        fake.asked.clear()
        assert await client.list_tags(app(fake), registry(fake, password)) == ["v1"]
        assert await client.resolve(app(fake), "V1", registry(fake, password)) == digest
        assert fake.paths() == [LIST, "HEAD /v2/acme/app/manifests/v1"]


@pytest.mark.anyio
async def test_one_token_opens_all_repositories_for_a_day(
    client: RegistryClient, clock: FakeClock
) -> None:
    async with fake_registry(GITEA) as fake:
        fake.add_image("acme/app", "v1", {})
        fake.add_image("acme/other", "v1", {})
        await client.list_tags(app(fake), registry(fake))
        clock.advance(23 * 3600)
        fake.asked.clear()
        await client.list_tags(ImageName(fake.host, "acme/other"), registry(fake))
        assert fake.paths() == ["GET /v2/acme/other/tags/list"]


@pytest.mark.anyio
async def test_a_token_that_died_early_is_renewed(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        fake.add_image("acme/app", "v1", {})
        await client.list_tags(app(fake), registry(fake))
        fake.revoke_tokens()
        fake.asked.clear()
        assert await client.list_tags(app(fake), registry(fake)) == ["v1"]
        assert fake.paths() == [LIST, TOKEN, LIST]


@pytest.mark.anyio
async def test_tags_are_one_whatever_their_case(client: RegistryClient) -> None:
    async with fake_registry(GITEA, lower_case_tags=False) as fake:
        fake.tags["acme/app"] = ["V1", "v1", "RC-2"]
        assert await client.list_tags(app(fake), registry(fake)) == ["v1", "rc-2"]


@pytest.mark.anyio
async def test_where_it_pages_after_all_every_page_is_read(client: RegistryClient) -> None:
    async with fake_registry(
        GITEA, page_size=2, link='<{path}?last={last}&n={n}>; rel="next"'
    ) as fake:
        fake.tags["acme/app"] = ["a", "b", "c", "d"]
        assert await client.list_tags(app(fake), registry(fake)) == ["a", "b", "c", "d"]
        assert fake.paths()[-3:] == [LIST, f"{LIST}?last=b&n=2", f"{LIST}?last=d&n=2"]


@pytest.mark.anyio
async def test_a_realm_that_cannot_be_reached_is_never_needed(
    client: RegistryClient, sleeps: list[float]
) -> None:
    async with fake_registry(GITEA, challenges=UNREACHABLE) as fake:
        fake.add_image("acme/app", "v1", {})
        assert await client.list_tags(app(fake), registry(fake)) == ["v1"]
        assert TOKEN in fake.paths()
        assert sleeps == []


@pytest.mark.anyio
async def test_a_realm_elsewhere_is_asked_where_the_configured_url_has_none(
    client: RegistryClient,
) -> None:
    async with fake_registry(GITEA) as elsewhere:
        challenges = (f'Bearer realm="{elsewhere.url}/v2/token"',)
        async with fake_registry(GITEA, challenges=challenges, token_path="/none") as fake:
            fake.tokens = elsewhere.tokens
            fake.add_image("acme/app", "v1", {})
            fake.answer_next(lambda _: None, status(404))
            assert await client.list_tags(app(fake), registry(fake)) == ["v1"]
            assert len(elsewhere.asked) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("password", "words"),
    [("secret", "although credentials were sent"), (None, "no credentials were sent")],
)
async def test_a_denied_read_does_not_loop_and_costs_the_others_nothing(
    client: RegistryClient, password: str | None, words: str
) -> None:
    async with fake_registry(GITEA, denied=frozenset({"acme/secret"})) as fake:
        fake.add_image("acme/app", "v1", {})
        await client.list_tags(app(fake), registry(fake, password))
        fake.asked.clear()
        for _ in range(2):
            with pytest.raises(RegistryDeniedError, match=words):
                await client.list_tags(
                    ImageName(fake.host, "acme/secret"), registry(fake, password)
                )
        await client.list_tags(app(fake), registry(fake, password))
        assert fake.paths() == ["GET /v2/acme/secret/tags/list"] * 2 + [LIST]


@pytest.mark.anyio
async def test_a_wrong_password_is_sent_once(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        with pytest.raises(RegistryDeniedError, match="refused the username or the password"):
            await client.list_tags(app(fake), registry(fake, "wrong"))
        assert fake.paths() == [LIST, TOKEN]


@pytest.mark.anyio
async def test_an_unknown_image(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        with pytest.raises(
            RegistryNotFoundError, match=f"{fake.host} has no acme/app .NAME_UNKNOWN"
        ):
            await client.list_tags(app(fake), registry(fake))


@pytest.mark.anyio
async def test_under_a_sub_path_the_registry_is_at_the_root_and_the_api_is_not(
    client: RegistryClient,
) -> None:
    async with fake_registry(GITEA) as fake:
        fake.add_image("acme/app", "v1", {})
        assert await client.list_tags(app(fake), registry(fake, path="/git/")) == ["v1"]
        assert await client.gitea_version(registry(fake, path="/git/")) == "1.22.3"
        assert fake.paths()[-1] == "GET /git/api/v1/version"


@pytest.mark.anyio
async def test_a_link_without_n_ends_the_list(client: RegistryClient) -> None:
    async with fake_registry(GITEA, auth="none") as fake:
        fake.answer_next(
            json_body({"tags": ["a"]}, {"Link": '</v2/acme/app/tags/list?last=a>; rel="next"'})
        )
        assert await client.list_tags(app(fake), registry(fake)) == ["a"]
        assert fake.paths() == [LIST]
    assert gitea.is_last_page(None)
    assert not gitea.is_last_page(URL("/x?n=50&last=a"))


@pytest.mark.anyio
async def test_a_gitea_whose_login_is_out_of_order_everywhere_says_so_of_what_it_named(
    client: RegistryClient,
) -> None:
    async with fake_registry(GITEA, challenges=UNREACHABLE) as fake:
        fake.add_image("acme/app", "v1", {})
        fake.answer_next(lambda _: None, *[status(500)] * 3)
        with pytest.raises(
            RegistryUnreachableError, match=r"127\.0\.0\.1:1 refused the connection"
        ):
            await client.list_tags(app(fake), registry(fake, None))
