from collections.abc import Mapping
from pathlib import Path

import pytest

from tagboat.core.errors import SettingsError
from tagboat.core.oidc import OidcSettings
from tagboat.core.principal import Role
from tagboat.oidc_settings import parse_roles, read_local_sign_in, read_oidc
from tagboat.variables import Variables

SECRET = "hunter2-correct-horse"
LEAST = {"ISSUER": "https://id.example.com", "CLIENT_ID": "tagboat", "ROLES": "admins=admin"}


def load(values: Mapping[str, str], cwd: Path = Path("/nowhere")) -> OidcSettings | None:
    environ = {f"TAGBOAT_OIDC_{name}": value for name, value in values.items()}
    return read_oidc(Variables.read(environ, cwd, dotenv=False))


def loaded(**more: str) -> OidcSettings:
    settings = load(LEAST | more)
    assert settings is not None
    return settings


def complaint(values: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_an_issuer_there_is_no_provider() -> None:
    assert load({}) is None


def test_the_least_that_is_needed() -> None:
    assert loaded() == OidcSettings(
        issuer="https://id.example.com",
        client_id="tagboat",
        name="id.example.com",
        roles=(("admins", Role.ADMIN),),
    )


def test_everything() -> None:
    assert loaded(
        ISSUER="http://127.0.0.1:9000/realms/acme/",
        CLIENT_SECRET=SECRET,
        SCOPES="profile, email  groups openid",
        NAME=" Acme ",
        ROLE_CLAIM="realm_access.roles",
        ROLES="admins=admin,  dev team = deployer , *=viewer",
        ALLOWED_DOMAINS="Example.com, @example.org",
    ) == OidcSettings(
        issuer="http://127.0.0.1:9000/realms/acme/",
        client_id="tagboat",
        client_secret=SECRET,
        scopes=("openid", "profile", "email", "groups"),
        name="Acme",
        role_claim="realm_access.roles",
        roles=(("admins", Role.ADMIN), ("dev team", Role.DEPLOYER), ("*", Role.VIEWER)),
        allowed_domains=("example.com", "example.org"),
    )


def test_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    settings = load(LEAST | {"CLIENT_SECRET_FILE": "secret"}, tmp_path)
    assert settings is not None
    assert settings.client_secret == SECRET


@pytest.mark.parametrize("missing", ["CLIENT_ID", "ROLES"])
def test_an_issuer_alone_is_not_enough(missing: str) -> None:
    message = complaint({name: value for name, value in LEAST.items() if name != missing})
    assert message.startswith(f"TAGBOAT_OIDC_ISSUER is set, but TAGBOAT_OIDC_{missing} is not")


@pytest.mark.parametrize("name", ["CLIENT_ID", "CLIENT_SECRET", "ROLES", "CLIENT_SECRET_FILE"])
def test_other_settings_without_an_issuer_were_forgotten(name: str) -> None:
    message = complaint({name: SECRET})
    assert message == (
        f"TAGBOAT_OIDC_{name} is set, but TAGBOAT_OIDC_ISSUER is not; set both or none"
    )


@pytest.mark.parametrize(
    ("written", "issuer"),
    [
        ("https://id.example.com/", "https://id.example.com/"),
        ("https://id.example.com/.well-known/openid-configuration", "https://id.example.com"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        (
            "https://login.microsoftonline.com/4a-b/v2.0",
            "https://login.microsoftonline.com/4a-b/v2.0",
        ),
    ],
)
def test_issuers(written: str, issuer: str) -> None:
    assert loaded(ISSUER=written).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "id.example.com",
        "http://id.example.com",
        "http://10.0.0.5",
        "ftp://id.example.com",
        "https://ada:pw@id.example.com",
        "https://id.example.com?x=1",
        "https://id.example.com#x",
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
    ],
)
def test_urls_that_are_not_issuers(issuer: str) -> None:
    assert complaint(LEAST | {"ISSUER": issuer}).startswith("TAGBOAT_OIDC_ISSUER cannot be used: ")


@pytest.mark.parametrize(
    "roles",
    ["admins", "=admin", "admins=", "admins=root", "admins=metrics", "a=admin,", ",", "a=Admin"],
)
def test_roles_that_are_not_pairs(roles: str) -> None:
    assert complaint(LEAST | {"ROLES": roles}).startswith(
        "TAGBOAT_OIDC_ROLES cannot be used: VALUE=ROLE,VALUE=ROLE is expected"
    )


def test_values_may_have_equal_signs() -> None:
    assert parse_roles("cn=ops=admin") == (("cn=ops", Role.ADMIN),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCOPES", 'a"b'),
        ("SCOPES", "é"),
        ("NAME", "x" * 41),
        ("NAME", "a\x1bb"),
        ("ALLOWED_DOMAINS", "example"),
        ("ALLOWED_DOMAINS", "*.example.com"),
        ("ALLOWED_DOMAINS", "ada@example.com"),
        ("CLIENT_ID", " tagboat"),
        ("CLIENT_SECRET", f"{SECRET}\n"),
        ("ROLE_CLAIM", "a\nb"),
    ],
)
def test_values_that_cannot_be_used(name: str, value: str) -> None:
    message = complaint(LEAST | {name: value})
    assert message.startswith(f"TAGBOAT_OIDC_{name} cannot be used: ")
    assert SECRET not in message


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "https://gitlab.com"])
def test_a_role_for_everybody_is_not_one_for_the_world(issuer: str) -> None:
    open_to_all = LEAST | {"ISSUER": issuer, "ROLES": "*=viewer"}
    assert "TAGBOAT_OIDC_ALLOWED_DOMAINS" in complaint(open_to_all)
    assert load(open_to_all | {"ALLOWED_DOMAINS": "example.com"}) is not None
    assert load(open_to_all | {"ROLES": "acme=viewer"}) is not None


@pytest.mark.parametrize(
    ("value", "allowed"),
    [("true", True), ("false", False), ("False", False), ("TRUE", True), ("", True)],
)
def test_local_sign_in(value: str, allowed: bool) -> None:
    variables = Variables.read({"TAGBOAT_LOCAL_SIGN_IN": value}, Path("/nowhere"), dotenv=False)
    assert read_local_sign_in(variables, loaded()) is allowed


def test_local_sign_in_cannot_be_off_if_there_is_no_other() -> None:
    variables = Variables.read({"TAGBOAT_LOCAL_SIGN_IN": "false"}, Path("/nowhere"), dotenv=False)
    with pytest.raises(SettingsError, match="TAGBOAT_OIDC_ISSUER is not set: nobody could"):
        read_local_sign_in(variables, None)


@pytest.mark.parametrize("value", ["no", "0", "off", "yes please"])
def test_other_words_are_not_booleans(value: str) -> None:
    variables = Variables.read({"TAGBOAT_LOCAL_SIGN_IN": value}, Path("/nowhere"), dotenv=False)
    with pytest.raises(SettingsError, match="TAGBOAT_LOCAL_SIGN_IN cannot be used: true or false"):
        read_local_sign_in(variables, loaded())
