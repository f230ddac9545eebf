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
