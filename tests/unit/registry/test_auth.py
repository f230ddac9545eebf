import asyncio

import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryProtocolError,
    RegistryUnreachableError,
)
from tagboat.core.image import ImageName
from tagboat.registry.client import RegistryClient
from tests.support.clock import FakeClock
from tests.support.fake_registry import GITEA, FakeRegistry, Quirks, fake_registry, status

LIST = "GET /v2/acme/app/tags/list"
TOKEN = "GET /token?service=fake&scope=repository:acme/app:pull"


def app(fake: FakeRegistry) -> ImageName:
    return ImageName(fake.host, "acme/app")


def registry(
    fake: FakeRegistry,
    password: str | None = "secret",  # noqa: S107 - the fake's
    kind: RegistryKind = RegistryKind.OCI,
) -> Registry:
    return Registry(
        id="r1",
        name="fake",
        url=fake.url,
        kind=kind,
        username="ci" if password else "",
        password=password,
    )


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["token", "access_token"])
async def test_at_rest_one_listing_is_one_request_and_one_head_is_one(
    client: RegistryClient, field: str
) -> None:
    async with fake_registry(auth="bearer", token_field=field) as fake:
        digest = fake.add_image("acme/app", "v1", {})
        await client.list_tags(app(fake), None)
        assert fake.paths() == [LIST, TOKEN, LIST]
        fake.asked.clear()
        assert await client.list_tags(app(fake), None) == ["v1"]
        assert fake.paths() == [LIST]
        fake.asked.clear()
        assert await client.resolve(app(fake), "v1", None) == digest
        assert fake.paths() == ["HEAD /v2/acme/app/manifests/v1"]


@pytest.mark.anyio
async def test_at_rest_with_basic_too(client: RegistryClient) -> None:
    async with fake_registry(auth="basic", login=("ci", "secret")) as fake:
        fake.add_image("acme/app", "v1", {})
        await client.list_tags(app(fake), registry(fake))
        assert fake.paths() == [LIST, LIST]
        assert [bool(asked.authorization) for asked in fake.asked] == [False, True]
        fake.asked.clear()
        await client.resolve(app(fake), "v1", registry(fake))
        assert fake.paths() == ["HEAD /v2/acme/app/manifests/v1"]


@pytest.mark.anyio
async def test_a_token_is_used_until_shortly_before_it_expires(
    client: RegistryClient, clock: FakeClock
) -> None:
    async with fake_registry(auth="bearer", expires_in=60) as fake:
        fake.add_image("acme/app", "v1", {})
        await client.list_tags(app(fake), None)
        clock.advance(49)
        fake.asked.clear()
        await client.list_tags(app(fake), None)
        assert fake.paths() == [LIST]
        clock.advance(2)
        fake.asked.clear()
        await client.list_tags(app(fake), None)
        assert fake.paths() == [TOKEN, LIST]


@pytest.mark.anyio
async def test_a_token_that_is_refused_is_renewed_once(client: RegistryClient) -> None:
    async with fake_registry(auth="bearer") as fake:
        fake.add_image("acme/app", "v1", {})
        await client.list_tags(app(fake), None)
        fake.revoke_tokens()
        fake.asked.clear()
        assert await client.list_tags(app(fake), None) == ["v1"]
        assert fake.paths() == [LIST, TOKEN, LIST]


@pytest.mark.anyio
@pytest.mark.parametrize("code", [400, 401, 403])
@pytest.mark.parametrize("kind", list(RegistryKind))
async def test_a_kept_token_that_is_refused_without_a_challenge_is_replaced_once(
    client: RegistryClient, code: int, kind: RegistryKind
) -> None:
    async with fake_registry(
        GITEA if kind is RegistryKind.GITEA else Quirks(auth="bearer")
    ) as fake:
        digest = fake.add_image("acme/app", "v1", {})
        ours = Registry(id="r1", name="ours", url=fake.url, kind=kind)
        await client.list_tags(app(fake), ours)
        for ask in (
            lambda: client.list_tags(app(fake), ours),
            lambda: client.resolve(app(fake), "v1", ours),
        ):
            fake.asked.clear()
            fake.answer_next(status(code))
            assert await ask() in (["v1"], digest)
            assert ["/token?" in path for path in fake.paths()] == [False, True, False]
        fake.asked.clear()
        fake.answer_next(status(code), lambda _: None, status(code))
        with pytest.raises(RegistryError):
            await client.list_tags(app(fake), ours)
        assert len(fake.asked) == 3


@pytest.mark.anyio
async def test_a_token_fetched_just_now_is_not_replaced(client: RegistryClient) -> None:
    async with fake_registry(auth="bearer") as fake:
        fake.answer_next(lambda _: None, lambda _: None, status(403))
        with pytest.raises(RegistryDeniedError):
            await client.list_tags(app(fake), None)
        assert fake.paths() == [LIST, TOKEN, LIST]


@pytest.mark.anyio
async def test_a_denial_does_not_loop(client: RegistryClient, clock: FakeClock) -> None:
    async with fake_registry(auth="bearer", denied=frozenset({"acme/app"})) as fake:
        for expected in ([LIST, TOKEN, LIST], [LIST, TOKEN, LIST]):
            fake.asked.clear()
            with pytest.raises(RegistryDeniedError, match="no credentials were sent"):
                await client.list_tags(app(fake), None)
            assert fake.paths() == expected
        clock.advance(3600)
        fake.asked.clear()
        with pytest.raises(RegistryDeniedError):
            await client.list_tags(app(fake), None)
        assert fake.paths() == [TOKEN, LIST]


@pytest.mark.anyio
async def test_many_calls_at_a_time_fetch_one_token(
    client: RegistryClient, clock: FakeClock
) -> None:
    async with fake_registry(auth="bearer", expires_in=60) as fake:
        fake.add_image("acme/app", "v1", {})
        for _ in range(2):
            fake.asked.clear()
            answers = await asyncio.gather(*(client.list_tags(app(fake), None) for _ in range(20)))
            assert answers == [["v1"]] * 20
            assert fake.paths().count(TOKEN) == 1
            clock.advance(3600)
        fake.revoke_tokens()
        fake.asked.clear()
        await asyncio.gather(*(client.list_tags(app(fake), None) for _ in range(20)))
        assert fake.paths().count(TOKEN) == 1


@pytest.mark.anyio
async def test_a_call_cut_off_while_it_fetches_leaves_the_others_unharmed(
    client: RegistryClient,
) -> None:
    async with fake_registry(auth="bearer") as fake:
        fake.add_image("acme/app", "v1", {})
        token_asked_for = asyncio.Event()
        fake.answer_next(*[lambda _: None] * 5, lambda _: token_asked_for.set())
        calls = [asyncio.ensure_future(client.list_tags(app(fake), None)) for _ in range(5)]
        await token_asked_for.wait()
        calls[0].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [answer for answer in answers if not isinstance(answer, asyncio.CancelledError)] == [
            ["v1"]
        ] * 4


@pytest.mark.anyio
async def test_each_password_and_each_repository_has_its_own_token(client: RegistryClient) -> None:
    async with fake_registry(auth="bearer", login=("ci", "secret")) as fake:
        fake.add_image("acme/app", "v1", {})
        fake.add_image("acme/other", "v1", {})
        await client.list_tags(app(fake), None)
        await client.list_tags(app(fake), registry(fake))
        await client.list_tags(ImageName(fake.host, "acme/other"), registry(fake))
        assert [path for path in fake.paths() if "token" in path] == [
            TOKEN,
            TOKEN,
            TOKEN.replace("app", "other"),
        ]
        with pytest.raises(RegistryDeniedError, match="refused the username or the password"):
            await client.list_tags(app(fake), registry(fake, "wrong"))


@pytest.mark.anyio
async def test_how_to_log_in_is_remembered_for_the_next_repository(client: RegistryClient) -> None:
    async with fake_registry(auth="bearer") as fake:
        fake.add_image("acme/app", "v1", {})
        fake.add_image("acme/other", "v1", {})
        await client.list_tags(app(fake), None)
        fake.asked.clear()
        await client.list_tags(ImageName(fake.host, "acme/other"), None)
        assert len(fake.asked) == 2


@pytest.mark.anyio
async def test_a_realm_that_moved_is_found_again(client: RegistryClient, clock: FakeClock) -> None:
    async with fake_registry(auth="bearer") as old, fake_registry(auth="bearer") as new:
        old.add_image("acme/app", "v1", {})
        await client.list_tags(app(old), None)
        new.tokens = old.tokens
        clock.advance(3600)
        old.asked.clear()
        old.answer_next(
            status(404), status(401, {"WWW-Authenticate": f'Bearer realm="{new.url}/token"'})
        )
        assert await client.list_tags(app(old), None) == ["v1"]
        assert old.paths() == [TOKEN, LIST, LIST]
        assert new.paths() == ["GET /token?scope=repository:acme/app:pull"]


@pytest.mark.anyio
async def test_a_realm_that_is_down_is_no_reason_to_give_up_where_basic_is_offered(
    client: RegistryClient,
) -> None:
    challenges = ('Bearer realm="http://127.0.0.1:1/token"', 'Basic realm="x"')
    async with fake_registry(auth="bearer", login=("ci", "secret"), challenges=challenges) as fake:
        fake.add_image("acme/app", "v1", {})
        assert await client.list_tags(app(fake), registry(fake)) == ["v1"]
        with pytest.raises(RegistryUnreachableError, match="127.0.0.1:1 refused the connection"):
            await client.list_tags(app(fake), None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"WWW-Authenticate": "Negotiate"}, "denied access"),
        ({"WWW-Authenticate": 'Basic realm="x"'}, "no credentials were sent"),
        ({"WWW-Authenticate": "Bearer"}, "denied access"),
        ({}, "denied access"),
    ],
)
async def test_a_challenge_that_nothing_can_be_done_with(
    client: RegistryClient, header: dict[str, str], words: str
) -> None:
    async with fake_registry() as fake:
        fake.answer_next(status(401, header))
        with pytest.raises(RegistryDeniedError, match=words):
            await client.list_tags(app(fake), None)
        assert len(fake.asked) == 1


@pytest.mark.anyio
async def test_the_password_goes_to_the_realm_and_nowhere_after_it(client: RegistryClient) -> None:
    async with (
        fake_registry(auth="bearer", login=("ci", "secret")) as fake,
        fake_registry() as thief,
    ):
        fake.add_image("acme/app", "v1", {})
        moved = status(307, {"Location": f"{thief.url}/token"})
        fake.answer_next(lambda _: None, moved)
        thief.answer_next(status(200, body=b'{"token": "stolen"}'))
        with pytest.raises(RegistryDeniedError):
            await client.list_tags(app(fake), registry(fake))
        assert fake.asked[1].authorization.startswith("Basic ")
        assert [asked.authorization for asked in thief.asked] == [""]


@pytest.mark.anyio
async def test_no_message_holds_the_password(client: RegistryClient) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "ci:hunter2hunter2 is not welcome"}]}'
    async with fake_registry(auth="basic") as fake:
        fake.answer_next(lambda _: None, status(403, body=body))
        with pytest.raises(RegistryDeniedError, match="although credentials were sent") as caught:
            await client.list_tags(app(fake), registry(fake, "hunter2hunter2"))
        assert "hunter2" not in str(caught.value)
        assert "is not welcome" in str(caught.value)


@pytest.mark.anyio
async def test_a_challenge_from_where_a_redirect_led_gets_no_password(
    client: RegistryClient,
) -> None:
    async with fake_registry() as fake, fake_registry() as thief:
        for challenge in (f'Bearer realm="{thief.url}/token"', 'Basic realm="x"'):
            thief.asked.clear()
            fake.answer_next(status(307, {"Location": f"{thief.url}/v2/"}))
            thief.answer_next(status(401, {"WWW-Authenticate": challenge}))
            with pytest.raises(
                RegistryDeniedError, match=f"redirects to {thief.host}, which denied access"
            ):
                await client.list_tags(app(fake), registry(fake))
            assert [(asked.path, asked.authorization) for asked in thief.asked] == [("/v2/", "")]


def identified(fake: FakeRegistry, token: str) -> Registry:
    return Registry(
        id="r1",
        name="fake",
        url=fake.url,
        kind=RegistryKind.OCI,
        username="<token>",
        password=token,
    )


@pytest.mark.anyio
async def test_an_identity_token_buys_tokens_and_goes_nowhere_else(client: RegistryClient) -> None:
    challenges = ('Basic realm="x"', 'Bearer realm="{url}/token",service="fake"')
    async with fake_registry(
        auth="bearer", login=("ci", "id-token"), challenges=challenges, token_field="access_token"
    ) as fake:
        fake.add_image("acme/app", "v1", {})
        assert await client.list_tags(app(fake), identified(fake, "id-token")) == ["v1"]
        assert fake.paths() == [LIST, "POST /token", LIST]
        assert [asked.authorization for asked in fake.asked[:2]] == ["", ""]
        with pytest.raises(RegistryDeniedError, match="refused the identity token: log in again"):
            await client.list_tags(app(fake), identified(fake, "another"))


@pytest.mark.anyio
async def test_an_identity_token_is_no_password(client: RegistryClient) -> None:
    async with fake_registry(auth="basic", login=("<token>", "id-token")) as fake:
        fake.add_image("acme/app", "v1", {})
        with pytest.raises(RegistryDeniedError):
            await client.list_tags(app(fake), identified(fake, "id-token"))
        assert [asked.authorization for asked in fake.asked] == [""]


@pytest.mark.anyio
async def test_an_identity_token_does_not_follow_redirects(client: RegistryClient) -> None:
    async with (
        fake_registry(auth="bearer", login=("ci", "id-token")) as fake,
        fake_registry() as thief,
    ):
        fake.add_image("acme/app", "v1", {})
        fake.answer_next(lambda _: None, status(307, {"Location": f"{thief.url}/token"}))
        with pytest.raises(RegistryProtocolError, match="redirects a login elsewhere"):
            await client.list_tags(app(fake), identified(fake, "id-token"))
        assert thief.asked == []
