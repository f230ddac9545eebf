import pytest

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.errors import EngineUnavailableError, RegistryDeniedError
from tagboat.core.image import ImageName
from tagboat.core.values import replace
from tagboat.registry.client import RegistryClient
from tagboat.registry.diagnostics import DiagnosticCheck, diagnose
from tagboat.runtime.memory import MemoryRuntime
from tests.support.fake_registry import GITEA, FakeRegistry, fake_registry, json_body, status


def registry(
    url: str, kind: RegistryKind = RegistryKind.OCI, password: str | None = None
) -> Registry:
    return Registry(
        id="r1",
        name="ours",
        url=url,
        kind=kind,
        username="ci" if password else "",
        password=password,
    )


def gitea(fake: FakeRegistry, password: str | None = None) -> Registry:
    return registry(fake.url, RegistryKind.GITEA, password)


def verdicts(checks: list[DiagnosticCheck]) -> dict[str, bool]:
    return {check.name: check.ok for check in checks}


def detail(checks: list[DiagnosticCheck], name: str) -> str:
    return next(check.detail for check in checks if check.name == name)


@pytest.mark.anyio
async def test_an_open_registry(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.add_image("acme/app", "v1", {})
        fake.add_image("acme/app", "v2", {})
        for image in (ImageName(fake.host, "acme/app"), None):
            checks = await diagnose(client, registry(fake.url), image)
            names = ["url", "reachable", "login", "images", "list", "pull"]
            assert verdicts(checks) == dict.fromkeys(names, True)
        assert detail(checks, "login") == "no login needed"
        assert detail(checks, "images") == "1 image can be chosen from"
        assert detail(checks, "pull").endswith("/acme/app:v2 can be read")
        assert detail(checks, "list").endswith("/acme/app has 2 tags")


@pytest.mark.anyio
async def test_a_url_that_is_none(client: RegistryClient) -> None:
    assert verdicts(await diagnose(client, registry("nonsense"), None)) == {"url": False}


@pytest.mark.anyio
async def test_nobody_there(client: RegistryClient) -> None:
    checks = await diagnose(client, registry("http://127.0.0.1:1"), None)
    assert verdicts(checks) == {"url": True, "reachable": False}
    assert "refused the connection" in detail(checks, "reachable")


@pytest.mark.anyio
async def test_not_a_registry(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.answer_next(status(404))
        checks = await diagnose(client, registry(fake.url), None)
        assert verdicts(checks) == {"url": True, "reachable": False}
        assert "not as a registry" in detail(checks, "reachable")


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"<!doctype html><title>hello</title>", b"hello", b"\xff"])
async def test_a_web_page_is_not_a_registry(client: RegistryClient, body: bytes) -> None:
    async with fake_registry() as fake:
        fake.answer_next(status(200, {}, body))
        checks = await diagnose(client, registry(fake.url), None)
        assert verdicts(checks) == {"url": True, "reachable": False}
        assert "not as a registry" in detail(checks, "reachable")


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b"{}", b"true", b"\n"])
async def test_what_registries_answer_at_their_root(client: RegistryClient, body: bytes) -> None:
    async with fake_registry() as fake:
        fake.answer_next(status(200, {}, body))
        assert verdicts(await diagnose(client, registry(fake.url), None))["reachable"] is True


@pytest.mark.anyio
@pytest.mark.parametrize("password", ["secret", None])
async def test_a_refusal_that_does_not_say_how_to_log_in(
    client: RegistryClient, password: str | None
) -> None:
    async with fake_registry() as fake:
        fake.answer_next(*[status(401)] * 2)
        checks = await diagnose(client, registry(fake.url, password=password), None)
        assert verdicts(checks) == {"url": True, "reachable": True, "login": False}
        assert "does not say how to log in" in detail(checks, "login")
        assert "was refused" not in detail(checks, "login")


@pytest.mark.anyio
async def test_an_image_that_is_gone_says_nothing_of_the_rest(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.add_image("acme/app", "v1", {})
        gone = ImageName(fake.host, "acme/gone")
        checks = await diagnose(client, registry(fake.url), gone)
        assert verdicts(checks)["pull"] is True
        assert detail(checks, "list").endswith("/acme/app has 1 tag")


@pytest.mark.anyio
async def test_no_tls_where_https_is_configured(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        checks = await diagnose(client, registry(fake.url.replace("http:", "https:")), None)
        assert verdicts(checks) == {"url": True, "reachable": True, "tls": False}
        assert "must begin with http://" in detail(checks, "tls")


@pytest.mark.anyio
@pytest.mark.parametrize("auth", ["basic", "bearer"])
async def test_passwords(client: RegistryClient, auth: str) -> None:
    async with fake_registry(auth=auth, login=("ci", "secret"), anonymous_token=False) as fake:
        right = await diagnose(client, registry(fake.url, password="secret"), None)
        wrong = await diagnose(client, registry(fake.url, password="hunter2"), None)
        none = await diagnose(client, registry(fake.url), ImageName(fake.host, "acme/app"))
        assert [verdicts(checks)["login"] for checks in (right, wrong, none)] == [
            True,
            False,
            False,
        ]
        assert "are accepted" in detail(right, "login")
        assert "the username or the password was refused: check both" in detail(wrong, "login")
        assert "hunter2" not in detail(wrong, "login")
        assert "a login is needed, and no password is stored" in detail(none, "login")
        assert "list" not in verdicts(none)


@pytest.mark.anyio
async def test_a_password_that_is_right_no_more_is_found_out_although_a_token_is_kept(
    client: RegistryClient,
) -> None:
    async with fake_registry(auth="bearer", login=("ci", "secret")) as fake:
        fake.tags["acme/app"] = ["v1"]
        ours = registry(fake.url, password="secret")
        await client.list_tags(ImageName(fake.host, "acme/app"), ours)
        assert verdicts(await diagnose(client, ours, None))["login"] is True
        fake.quirks = GITEA
        fake.answer_next(lambda _: None, lambda _: None, status(401))
        assert verdicts(await diagnose(client, ours, None))["login"] is False


@pytest.mark.anyio
async def test_an_anonymous_token_proves_nothing(client: RegistryClient) -> None:
    async with fake_registry(GITEA, denied=frozenset({"acme/app"})) as fake:
        checks = await diagnose(client, gitea(fake), ImageName(fake.host, "acme/app"))
        assert verdicts(checks) == {
            "url": True,
            "reachable": True,
            "login": True,
            "gitea api": True,
            "images": True,
            "list": False,
        }
        assert "proves nothing" in detail(checks, "login")
        assert "no credentials were sent" in detail(checks, "list")
        assert "needs the scope read:package" in detail(checks, "list")


@pytest.mark.anyio
async def test_gitea_with_a_wrong_password_says_how_to_make_a_token(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        checks = await diagnose(client, gitea(fake, "wrong"), None)
        assert verdicts(checks) == {
            "url": True,
            "reachable": True,
            "login": False,
            "gitea api": True,
        }
        assert "make a token with the scope read:package in Gitea" in detail(checks, "login")
        assert verdicts(await diagnose(client, gitea(fake, "secret"), None))["login"] is True


@pytest.mark.anyio
async def test_a_gitea_that_calls_itself_otherwise(client: RegistryClient) -> None:
    realm = 'Bearer realm="https://elsewhere.example.com/v2/token",service="container_registry"'
    async with fake_registry(GITEA, challenges=(realm, "Basic")) as fake:
        checks = await diagnose(client, gitea(fake, "secret"), None)
        assert verdicts(checks)["login"] is True
        assert verdicts(checks)["root url"] is False
        said = detail(checks, "root url")
        assert said.startswith(
            f"this Gitea calls itself https://elsewhere.example.com, not {fake.url}: "
            "the Docker engine asks"
        )
        assert f"Set ROOT_URL = {fake.url}/" in said
    async with fake_registry(GITEA) as fake:
        for known in ("", fake.url):
            checks = await diagnose(
                client, replace(gitea(fake, "secret"), login_service=known), None
            )
            assert "root url" not in verdicts(checks)
            assert detail(checks, "login") == "the username and the password are accepted"


@pytest.mark.anyio
async def test_the_engine_logs_in_by_itself(client: RegistryClient) -> None:
    engine = MemoryRuntime()
    async with fake_registry(GITEA) as fake:
        ours = gitea(fake, "secret")
        good = await diagnose(client, ours, None, log_in=engine.log_in)
        assert list(verdicts(good))[:5] == [
            "url",
            "reachable",
            "login",
            "engine login",
            "gitea api",
        ]
        assert all(check.ok for check in good)
        engine.guard(fake.host, "ci", "another")
        bad = await diagnose(client, ours, None, log_in=engine.log_in)
        assert verdicts(bad)["engine login"] is False
        assert "pulls of private images fail" in detail(bad, "engine login")
        engine.fail("log_in", EngineUnavailableError("no engine"))
        away = await diagnose(client, ours, None, log_in=engine.log_in)
        assert (verdicts(away)["engine login"], detail(away, "engine login")) == (
            True,
            "not tried: no engine",
        )
        assert "engine login" not in verdicts(
            await diagnose(client, gitea(fake), None, log_in=engine.log_in)
        )
        assert "engine login" not in verdicts(
            await diagnose(client, gitea(fake, "wrong"), None, log_in=engine.log_in)
        )


@pytest.mark.anyio
async def test_where_a_password_goes_is_told_and_what_has_changed(client: RegistryClient) -> None:
    async with fake_registry(auth="bearer", login=("ci", "secret")) as service:
        realm = (f'Bearer realm="{service.url}/token",service="fake"',)
        async with fake_registry(auth="bearer", login=("ci", "secret"), challenges=realm) as fake:
            fake.tokens = service.tokens
            ours = registry(fake.url, password="secret")
            for known, words in (
                ("", f"by the login service {service.url}"),
                (
                    "http://before",
                    f"now by the login service {service.url}, up to now by http://before",
                ),
            ):
                said = detail(
                    await diagnose(client, replace(ours, login_service=known), None), "login"
                )
                assert said == f"the username and the password are accepted, {words}"


@pytest.mark.anyio
async def test_gitea_that_is_none(client: RegistryClient) -> None:
    async with fake_registry(GITEA, version=None) as fake:
        checks = await diagnose(client, gitea(fake, "secret"), None)
        assert verdicts(checks)["gitea api"] is False
        assert "set the kind to oci" in detail(checks, "gitea api")


@pytest.mark.anyio
async def test_gitea_that_hides_its_version(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        await diagnose(client, gitea(fake, "secret"), None)
        usual = [lambda _: None] * fake.paths().index("GET /api/v1/version")
        fake.answer_next(*usual, status(403))
        checks = await diagnose(client, gitea(fake, "secret"), None)
        assert verdicts(checks)["gitea api"] is True
        assert "signed in" in detail(checks, "gitea api")


@pytest.mark.anyio
async def test_a_url_that_leads_elsewhere_gets_no_password_and_the_right_url_is_named(
    client: RegistryClient,
) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="/token"'}
    async with fake_registry() as fake, fake_registry() as other:
        fake.answer_next(*[status(301, {"Location": f"{other.url}/v2/"})] * 2)
        other.answer_next(status(401, challenge), status(401, challenge))
        checks = await diagnose(client, registry(fake.url, password="secret"), None)
        assert verdicts(checks) == {"url": True, "reachable": False}
        assert f"leads to {other.url}, where no credentials are sent: give that" in detail(
            checks, "reachable"
        )
        with pytest.raises(RegistryDeniedError, match="redirects to"):
            await client.log_in(registry(fake.url, password="secret"))
        assert [(asked.path, asked.authorization) for asked in other.asked] == [("/v2/", "")] * 2


@pytest.mark.anyio
async def test_a_tag_that_is_gone_hides_no_other(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.add_image("acme/app", "v1", {})
        fake.tags["acme/app"] += ["gone"]
        checks = await diagnose(client, registry(fake.url), None)
        assert detail(checks, "pull").endswith("acme/app:v1 can be read")
        fake.tags["acme/app"] += ["gone2", "gone3"]
        assert "has no acme/app:gone" in detail(
            await diagnose(client, registry(fake.url), None), "pull"
        )


@pytest.mark.anyio
async def test_what_cannot_be_chosen_from_a_list_can_be_used_all_the_same(
    client: RegistryClient,
) -> None:
    async with fake_registry(catalogue=False) as fake:
        fake.add_image("acme/app", "v1", {})
        checks = await diagnose(client, registry(fake.url), ImageName(fake.host, "acme/app"))
        assert verdicts(checks) == dict.fromkeys(
            ("url", "reachable", "login", "images", "list", "pull"), True
        )
        assert "cannot be chosen from a list, which hinders nothing else" in detail(
            checks, "images"
        )
        assert list(verdicts(await diagnose(client, registry(fake.url), None))) == [
            "url",
            "reachable",
            "login",
            "images",
        ]


@pytest.mark.anyio
async def test_more_images_than_are_counted_and_none(client: RegistryClient) -> None:
    async with fake_registry(page_size=60) as fake:
        assert "lists no images" in detail(
            await diagnose(client, registry(fake.url), None), "images"
        )
        fake.tags.update({f"app{number}": ["v1"] for number in range(150)})
        assert "at least 100 images" in detail(
            await diagnose(client, registry(fake.url), None), "images"
        )


@pytest.mark.anyio
async def test_who_may_list_but_not_pull(client: RegistryClient) -> None:
    async with fake_registry() as fake:
        fake.add_image("acme/app", "v1", {})
        fake.answer_next(*[lambda _: None] * 4, status(403))
        checks = await diagnose(client, registry(fake.url), None)
        assert verdicts(checks)["list"] is True
        assert verdicts(checks)["pull"] is False
        assert "give the login the right to pull its images" in detail(checks, "pull")


@pytest.mark.anyio
async def test_a_registry_that_is_asked_too_often_says_so(client: RegistryClient) -> None:
    async with fake_registry(retry_after="60") as fake:
        checks = await diagnose(client, registry(fake.url), None)
        assert verdicts(checks) == {"url": True, "reachable": False}
        assert "has had too many requests from here; it may be asked again at" in detail(
            checks, "reachable"
        )


@pytest.mark.anyio
async def test_something_else_where_gitea_should_be(client: RegistryClient) -> None:
    async with fake_registry(GITEA) as fake:
        for answer in (json_body({"version": 5}), json_body([]), status(400)):
            fake.answer_next(*[lambda _: None] * 4, answer)
            checks = await diagnose(client, gitea(fake, "secret"), None)
            assert "if this is not a Gitea or Forgejo, set the kind to oci" in detail(
                checks, "gitea api"
            )


@pytest.mark.anyio
async def test_who_may_not_read_an_image_of_an_oci_registry_is_told_what_to_change(
    client: RegistryClient,
) -> None:
    async with fake_registry(denied=frozenset({"acme/app"})) as fake:
        checks = await diagnose(
            client, registry(fake.url, password="secret"), ImageName(fake.host, "acme/app")
        )
        assert "in the registry, give the login the right to list the tags of its images" in detail(
            checks, "list"
        )
