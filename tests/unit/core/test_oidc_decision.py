import pytest

from tagboat.core.oidc import OidcSettings
from tagboat.core.oidc_decision import (
    AdmittedPerson,
    RejectedPerson,
    WhyNoSignIn,
    choose_role,
    claim_at,
    claim_values,
    decide_sign_in,
    displayed_name,
    verified_email,
)
from tagboat.core.principal import Role
from tagboat.core.values import replace

SETTINGS = OidcSettings(
    issuer="https://id.example.com",
    client_id="tagboat",
    name="Example",
    roles=(("admins", Role.ADMIN), ("devs", Role.DEPLOYER), ("staff", Role.VIEWER)),
)
OF_ANYBODY = replace(SETTINGS, roles=(*SETTINGS.roles, ("*", Role.VIEWER)))
OF_DOMAIN = replace(OF_ANYBODY, allowed_domains=("example.com", "example.org"))
ADA = {"sub": "1", "preferred_username": "ada"}


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["devs"], Role.DEPLOYER),
        (["devs", "admins"], Role.ADMIN),
        (["admins", "devs"], Role.ADMIN),
        (["unknown", "staff"], Role.VIEWER),
        ("devs", Role.DEPLOYER),
        ({"devs": {"org": "example"}}, Role.DEPLOYER),
    ],
)
def test_the_highest_role_of_the_claim_counts(groups: object, role: Role) -> None:
    assert decide_sign_in({**ADA, "groups": groups}, SETTINGS) == AdmittedPerson(role, "ada", "")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, WhyNoSignIn.CLAIM_MISSING),
        ({"groups": None}, WhyNoSignIn.CLAIM_MISSING),
        ({"Groups": ["admins"]}, WhyNoSignIn.CLAIM_MISSING),
        ({"groups": []}, WhyNoSignIn.NO_ROLE),
        ({"groups": ["Admins", "admins ", "admin"]}, WhyNoSignIn.NO_ROLE),
        ({"groups": "admins devs"}, WhyNoSignIn.NO_ROLE),
        ({"groups": "admins,devs"}, WhyNoSignIn.NO_ROLE),
        ({"groups": [["admins"], {"admins": 1}, 7, None]}, WhyNoSignIn.NO_ROLE),
        ({"groups": ["*"]}, WhyNoSignIn.NO_ROLE),
        ({"groups": 7}, WhyNoSignIn.NO_ROLE),
    ],
)
def test_without_a_role_nobody_signs_in(claims: dict[str, object], reason: WhyNoSignIn) -> None:
    decided = decide_sign_in({**ADA, **claims}, SETTINGS)
    assert isinstance(decided, RejectedPerson)
    assert decided.reason is reason
    assert "'groups'" in decided.sentence
    assert "TAGBOAT_OIDC_" in decided.sentence


@pytest.mark.parametrize("claims", [{}, {"groups": None}, {"groups": ["unknown"]}])
def test_anybody_gets_the_role_of_the_star(claims: dict[str, object]) -> None:
    assert decide_sign_in({**ADA, **claims}, OF_ANYBODY) == AdmittedPerson(Role.VIEWER, "ada", "")


def test_the_star_takes_no_higher_role_away() -> None:
    decided = decide_sign_in({**ADA, "groups": ["admins"]}, OF_ANYBODY)
    assert isinstance(decided, AdmittedPerson)
    assert decided.role is Role.ADMIN


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "ada@example.com", "email_verified": True},
        {"email": "ada@EXAMPLE.org", "email_verified": "true"},
    ],
)
def test_a_verified_address_of_an_allowed_domain_may_sign_in(claims: dict[str, object]) -> None:
    decided = decide_sign_in({**ADA, **claims}, OF_DOMAIN)
    assert decided == AdmittedPerson(Role.VIEWER, "ada", str(claims["email"]))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, WhyNoSignIn.NO_EMAIL),
        ({"email": ""}, WhyNoSignIn.NO_EMAIL),
        ({"email": ["ada@example.com"], "email_verified": True}, WhyNoSignIn.NO_EMAIL),
        ({"email": "ada@example.com"}, WhyNoSignIn.EMAIL_NOT_VERIFIED),
        ({"email": "ada@example.com", "email_verified": False}, WhyNoSignIn.EMAIL_NOT_VERIFIED),
        ({"email": "ada@example.com", "email_verified": "false"}, WhyNoSignIn.EMAIL_NOT_VERIFIED),
        ({"email": "ada@example.com", "email_verified": 1}, WhyNoSignIn.EMAIL_NOT_VERIFIED),
        ({"email": "ada@example.com", "email_verified": [True]}, WhyNoSignIn.EMAIL_NOT_VERIFIED),
        (
            {"email": "ada@evil.net@example.com", "email_verified": True},
            WhyNoSignIn.EMAIL_NOT_VERIFIED,
        ),
        ({"email": "example.com", "email_verified": True}, WhyNoSignIn.EMAIL_NOT_VERIFIED),
        ({"email": "ada@evil.net", "email_verified": True}, WhyNoSignIn.DOMAIN_NOT_ALLOWED),
        ({"email": "ada@sub.example.com", "email_verified": True}, WhyNoSignIn.DOMAIN_NOT_ALLOWED),
        ({"email": "ada@notexample.com", "email_verified": True}, WhyNoSignIn.DOMAIN_NOT_ALLOWED),
        ({"email": "ada@example.com.", "email_verified": True}, WhyNoSignIn.DOMAIN_NOT_ALLOWED),
    ],
)
def test_no_other_address_may(claims: dict[str, object], reason: WhyNoSignIn) -> None:
    decided = decide_sign_in({**ADA, "groups": ["admins"], **claims}, OF_DOMAIN)
    assert isinstance(decided, RejectedPerson)
    assert decided.reason is reason


@pytest.mark.parametrize("verified", [None, False, "false", 1])
def test_a_role_by_address_needs_a_verified_one(verified: object) -> None:
    by_address = replace(SETTINGS, role_claim="email", roles=(("ada@example.com", Role.ADMIN),))
    claims = {**ADA, "email": "ada@example.com", "email_verified": verified}
    decided = decide_sign_in(claims, by_address)
    assert isinstance(decided, RejectedPerson)
    assert "did not send a verified e-mail address" in decided.sentence
    decided = decide_sign_in(claims | {"email_verified": True}, by_address)
    assert decided == AdmittedPerson(Role.ADMIN, "ada", "ada@example.com")


def test_an_unverified_address_is_not_kept() -> None:
    claims = {**ADA, "groups": ["devs"], "email": "ada@example.com"}
    assert decide_sign_in(claims, SETTINGS) == AdmittedPerson(Role.DEPLOYER, "ada", "")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("groups", ["a"]),
        ("realm_access.roles", ["b"]),
        ("https://example.com/roles", ["c"]),
        ("a.b", "whole name"),
        ("realm_access.none", None),
        ("realm_access.roles.deeper", None),
        ("groups.a", None),
        ("", None),
        (".", None),
    ],
)
def test_a_claim_is_found_by_its_name_or_its_path(name: str, found: object) -> None:
    claims = {
        "groups": ["a"],
        "realm_access": {"roles": ["b"]},
        "https://example.com/roles": ["c"],
        "a": {"b": "path"},
        "a.b": "whole name",
    }
    assert claim_at(claims, name) == found


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        ("one", {"one"}),
        (True, {"true"}),
        (False, {"false"}),
        (["one", "two", 3, None, ["four"]], {"one", "two"}),
        ({"one": {}, "two": None}, {"one", "two"}),
        (None, set()),
        (3, set()),
    ],
)
def test_values_of_claims(claim: object, values: set[str]) -> None:
    assert claim_values(claim) == values


def test_values_far_down_a_long_list_do_not_count() -> None:
    assert "last" not in claim_values([str(number) for number in range(5_000)] + ["last"])


def test_no_rule_gives_no_role() -> None:
    assert choose_role(frozenset({"admins"}), ()) is None


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "1", "preferred_username": "ada", "email": "a@b.c", "name": "Ada L"}, "ada"),
        ({"sub": "1", "email": "a@b.c", "name": "Ada L"}, "a@b.c"),
        ({"sub": "1", "name": " Ada\n\x1b[31m  L "}, "Ada [31m L"),
        ({"sub": "1", "preferred_username": "", "name": "\u200b"}, "1"),
        ({"sub": "1", "preferred_username": "\u3164", "name": "Ada"}, "Ada"),
        ({"sub": "1", "preferred_username": 7}, "1"),
        ({"sub": "x" * 500}, "x" * 100),
        ({}, "unnamed"),
    ],
)
def test_names(claims: dict[str, object], name: str) -> None:
    assert displayed_name(claims) == name


def test_an_address_with_control_characters_is_not_kept() -> None:
    assert verified_email({"email": "a\n@b.c", "email_verified": True}) is None
