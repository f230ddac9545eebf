"""What is suggested while somebody types."""

from datetime import UTC, datetime

from tagboat.core.catalog import Project, Stage
from tagboat.core.image import ImageName
from tagboat.core.principal import Role
from tagboat.core.tags import parse_tag_pattern
from tagboat.operations.queries.finder import Finds, FoundProject
from tagboat.web.navigation import navigation_for
from tagboat.web.suggestions import Suggestion, project_text, suggestions, tag_text
from tagboat.web.typed_commands import Verb, typed_command, use_of

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def found_project(name: str, *stages: str, may_act: bool = True) -> FoundProject:
    project = Project(
        id=name,
        name=name,
        image=ImageName("git.example.com", f"acme/{name}"),
        port=80,
        healthcheck="",
        created_at=NOW,
    )
    made = [
        Stage(id=stage, project_id=name, name=stage, pattern=parse_tag_pattern("*"), created_at=NOW)
        for stage in stages
    ]
    return FoundProject(project, made, may_act)


SHOP = found_project("shop", "dev", "prod", "preprod")
WORKSHOP = found_project("workshop", "dev")
FINDS = Finds((SHOP, WORKSHOP), SHOP, ("v1.5", "v1.4"))


def suggested(text: str, role: Role = Role.ADMIN, finds: Finds = FINDS) -> list[Suggestion]:
    return suggestions(typed_command(text), finds, role)


def titles(text: str, role: Role = Role.ADMIN, finds: Finds = FINDS) -> list[str]:
    return [one.title for one in suggested(text, role, finds)]


def test_without_a_word_all_pages_and_commands_are_there() -> None:
    shown = titles("", finds=Finds((), None, ()))
    assert {entry.name for entry in navigation_for(Role.ADMIN)} < {*shown}
    assert {use_of(verb) for verb in Verb if verb is not Verb.GO} < {*shown}


def test_a_verb_is_completed_word_by_word() -> None:
    assert [one.text for one in suggested("deploy sh")] == ["deploy shop ", "deploy workshop "]
    assert [one.text for one in suggested("deploy shop pro")] == [
        "deploy shop prod ",
        "deploy shop preprod ",
    ]
    assert titles("deploy shop prod ") == ["deploy shop prod v1.5", "deploy shop prod v1.4"]
    # A tag that nobody has told of comes first, as it was typed.
    assert titles("deploy shop prod v1.4")[0] == "deploy shop prod v1.4"
    whole = suggested("deploy shop prod v1.4")[0]
    assert whole.path == "/find/order?q=deploy+shop+prod+v1.4"
    assert whole.command == "tagboat deploy shop prod v1.4"
    assert suggested("deploy shop nowhere v1") == []
    assert suggested("deploy nothing prod v1", finds=Finds((), None, ())) == []


def test_orders_of_two_words_and_promotions() -> None:
    assert suggested("roll back shop prod")[0].command == "tagboat rollback shop prod"
    assert titles("hold shop ") == ["hold shop dev", "hold shop prod", "hold shop preprod"]
    assert titles("promote shop dev ") == ["promote shop dev prod", "promote shop dev preprod"]
    assert suggested("promote shop dev")[0].path == ""
    assert suggested("logs shop prod")[0].path == "/projects/shop/prod/logs"


def test_who_may_not_give_orders_is_told_why() -> None:
    for text in ("deploy shop prod v1.4", "hold shop prod", "hold sh"):
        first = suggested(text, Role.VIEWER)[0]
        assert first.why_not == "You are a viewer: ask an admin for the role deployer."
        assert first.path == ""
    (verb,) = suggested("hold", Role.VIEWER, Finds((), None, ()))
    assert verb.why_not.startswith("You are a viewer")
    assert suggested("logs shop prod", Role.VIEWER)[0].why_not == ""
    other = found_project("shop", "prod", may_act=False)
    limited = Finds((other,), other, ())
    assert "may not act" in suggested("hold shop prod", Role.DEPLOYER, limited)[0].why_not


def test_why_takes_a_project_or_an_image() -> None:
    assert suggested("why shop:v1.4")[0].path == (
        "/explain?image=git.example.com%2Facme%2Fshop%3Av1.4"
    )
    assert suggested("why shop:v9")[0].command == "tagboat explain git.example.com/acme/shop:v9"
    assert titles("why sh", finds=Finds((SHOP,), None, ())) == ["why shop:TAG"]
    assert suggested("why a/b:v1", finds=Finds((), None, ()))[0].command == "tagboat explain a/b:v1"
    assert (project_text(typed_command("why shop:v1")), tag_text(typed_command("why shop:v1"))) == (
        "shop",
        "v1",
    )


def test_anything_can_be_gone_to() -> None:
    assert [one.path for one in suggested("shop")[:3]] == [
        "/projects/shop",
        "/projects/workshop",
        "/projects/shop/dev",
    ]
    assert [one.path for one in suggested("shop pro")] == [
        "/projects/shop/prod",
        "/projects/shop/preprod",
    ]
    nothing = Finds((), None, ())
    assert suggested("setti", finds=nothing)[0].path == "/settings"
    assert suggested("setti", Role.VIEWER, nothing) == []
    assert titles("", finds=nothing)[:2] == ["Overview", "Deploys"]
    assert suggested("qqq", finds=nothing) == []
