import pytest

from tagboat.core.errors import ForbiddenError
from tagboat.core.principal import Principal, PrincipalKind, Role


@pytest.mark.parametrize(
    ("role", "included"),
    [
        (Role.METRICS, {Role.METRICS}),
        (Role.VIEWER, {Role.METRICS, Role.VIEWER}),
        (Role.DEPLOYER, {Role.METRICS, Role.VIEWER, Role.DEPLOYER}),
        (Role.ADMIN, set(Role)),
    ],
)
def test_each_role_includes_those_before_it(role: Role, included: set[Role]) -> None:
    assert {other for other in Role if role.includes(other)} == included


def test_a_limited_principal_acts_on_its_projects_only() -> None:
    limited = Principal(
        kind=PrincipalKind.TOKEN, name="ci", role=Role.DEPLOYER, projects=frozenset({"a"})
    )
    limited.check_project("a")
    with pytest.raises(ForbiddenError, match="ci may not act on this project"):
        limited.check_project("b")


def test_a_token_that_may_not_is_replaced_and_an_account_is_changed() -> None:
    for kind, said in (
        (PrincipalKind.TOKEN, "make another token with 'tagboat tokens create'"),
        (PrincipalKind.ACCOUNT, "an admin can (allow it on the page Users|change that)"),
    ):
        one = Principal(kind=kind, name="ci", role=Role.DEPLOYER, projects=frozenset())
        with pytest.raises(ForbiddenError, match=said):
            one.check_project("a")
        with pytest.raises(ForbiddenError, match=said):
            one.check_role(Role.ADMIN)


def test_a_role_that_is_missing_is_named() -> None:
    viewer = Principal(kind=PrincipalKind.ACCOUNT, name="Anna", role=Role.VIEWER)
    viewer.check_role(Role.VIEWER)
    with pytest.raises(ForbiddenError, match="needs the role deployer, and Anna has the role view"):
        viewer.check_role(Role.DEPLOYER)
