"""Why somebody may not give an order."""

import pytest

from tagboat.core.principal import Principal, PrincipalKind, Role
from tagboat.web.rights_words import why_not


def somebody(role: Role, projects: frozenset[str] | None = None) -> Principal:
    return Principal(kind=PrincipalKind.ACCOUNT, name="vera", role=role, projects=projects)


@pytest.mark.parametrize(
    ("principal", "needed", "said"),
    [
        (somebody(Role.VIEWER), Role.DEPLOYER, "You are a viewer: ask an admin for the role"),
        (somebody(Role.DEPLOYER), Role.ADMIN, "You are a deployer: ask an admin for the role"),
        (somebody(Role.DEPLOYER, frozenset({"other"})), Role.DEPLOYER, "other projects only"),
        (None, Role.VIEWER, "Sign in"),
    ],
)
def test_the_sentence_says_what_to_ask_for(
    principal: Principal | None, needed: Role, said: str
) -> None:
    assert said in why_not(principal, needed, "mine")


def test_who_may_gets_no_sentence() -> None:
    assert not why_not(somebody(Role.DEPLOYER, frozenset({"mine"})), Role.DEPLOYER, "mine")
    assert not why_not(somebody(Role.ADMIN), Role.DEPLOYER, "mine")
