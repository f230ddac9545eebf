from tagboat.core.principal import Role
from tagboat.web.navigation import navigation_for


def names(role: Role) -> list[str]:
    return [entry.name for entry in navigation_for(role)]


def test_each_role_sees_the_places_that_it_may_look_at() -> None:
    assert names(Role.ADMIN) == ["Overview", "Deploys", "Deliveries", "Registries", "Settings"]
    assert names(Role.VIEWER) == ["Overview", "Deploys", "Deliveries", "Registries"]
    assert names(Role.METRICS) == []


def test_a_page_belongs_to_one_place() -> None:
    def holders(path: str) -> list[str]:
        return [entry.name for entry in navigation_for(Role.ADMIN) if entry.holds(path)]

    for path in ("/", "/projects/shop/prod", "/new-project", "/new-project/quick"):
        assert holders(path) == ["Overview"]
    assert holders("/deploys/1") == holders("/deploys") == ["Deploys"]
    assert holders("/deploysx") == []
