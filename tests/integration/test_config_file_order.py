"""An apply takes any file that is consistent as a whole, whatever the order of its keys."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tagboat.core.deploy import DeployStatus
from tagboat.core.values import replace
from tests.support.api import BASE_DOMAIN, Api, running_api
from tests.support.records import deploy_record, put_deploy

pytestmark = pytest.mark.anyio
HUB = "hub.example/acme"
Section = Mapping[str, Mapping[str, Any]]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def order(api: Api, action: str, *, prune: bool = False, **sections: Section) -> Any:  # noqa: ANN401
    """Plan or apply, and return the problem in words, or the answer."""
    body = {"document": sections, "prune": prune}
    answer = await api.caller.post(f"/api/config/{action}", body)
    assert answer.status in (200, 422), answer.body
    return answer.json if answer.status == 200 else answer.json["errors"][0]


async def apply(api: Api, *, prune: bool = False, **sections: Section) -> Any:  # noqa: ANN401
    """Plan, which must say the same, then apply."""
    planned = await order(api, "plan", prune=prune, **sections)
    done = await order(api, "apply", prune=prune, **sections)
    if "changes" in done:
        assert planned["changes"] == done["changes"]
    else:
        assert planned == done
    return done


def images(**by_name: str) -> dict[str, dict[str, Any]]:
    return {name: {"image": f"{HUB}/{image}", "stages": {}} for name, image in by_name.items()}


def hosts(**by_name: str) -> dict[str, dict[str, Any]]:
    return {name: {"url": f"https://{host}.example"} for name, host in by_name.items()}


def with_domains(image: str, **by_stage: str) -> dict[str, Any]:
    stages = {
        name: {"tag_pattern": "*", "domains": [domain] if domain else []}
        for name, domain in by_stage.items()
    }
    return {"image": f"{HUB}/{image}", "stages": stages}


async def exported(api: Api) -> Any:  # noqa: ANN401
    return (await api.caller.get("/api/config")).json


PROJECTS = [
    pytest.param({"ga": "gc", "gb": "gb"}, {"ga": "gb", "gb": "gd"}, id="a chain"),
    pytest.param({"ga": "a", "gb": "b"}, {"ga": "b", "gb": "a"}, id="two swap images"),
    pytest.param({"a": "1", "b": "2", "c": "3"}, {"a": "2", "b": "3", "c": "1"}, id="three rotate"),
    pytest.param({"ra": "a", "rb": "b"}, {"ra": "x", "rb": "a", "rc": "b"}, id="to a new name"),
    pytest.param({"ra": "a", "rb": "b"}, {"rb": "a", "rc": "b", "ra": "c"}, id="and a new image"),
]


@pytest.mark.parametrize(("before", "after"), PROJECTS)
async def test_images_move_between_projects_in_any_order(
    api: Api, before: dict[str, str], after: dict[str, str]
) -> None:
    for names in permutations(after):
        await apply(api, projects={}, prune=True)
        assert "changes" in await apply(api, projects=images(**before))
        start = await events_so_far(api)
        wanted = images(**{name: after[name] for name in names})
        done = await apply(api, projects=wanted)
        assert "changes" in done, (names, done)
        told = {
            change["name"]: (field["before"], field["after"])
            for change in done["changes"]
            for field in change["fields"]
            if field["field"] == "image" and change["action"] == "change"
        }
        moved = {
            name: (f"{HUB}/{before[name]}", f"{HUB}/{after[name]}")
            for name in before
            if before[name] != after[name]
        }
        assert told == moved
        assert await audited(api, "project.change", "image", len(moved)) == moved
        there = (await exported(api))["projects"]
        assert {name: one["image"] for name, one in there.items()} == {
            name: one["image"] for name, one in wanted.items()
        }
        assert (await apply(api, projects=wanted))["changes"] == []
        assert await names_in_events(api, start) == set(moved) | (set(after) - set(before))


async def events_so_far(api: Api) -> int:
    return await api.store.read(lambda reader: reader.last_event_id())


async def names_in_events(api: Api, start: int) -> set[str]:
    events = await api.store.read(lambda reader: reader.events(start, 1000))
    return {str(event.state["name"]) for event in events if "name" in event.state}


async def audited(api: Api, action: str, field: str, limit: int) -> dict[str, tuple[Any, Any]]:
    """Return the values before and after of a field in the newest entries of an action."""
    answer = await api.caller.get(f"/api/audit?limit={max(limit, 1)}&action={action}")
    return {
        item["subject"]["name"]: (change["before"], change["after"])
        for item in answer.json["items"]
        for change in item["changes"]
        if change["field"] == field
    }


async def test_registries_swap_their_urls_and_follow_each_other(api: Api) -> None:
    moves = (
        {"r1": "h2", "r2": "h1"},
        {"r1": "h2", "r2": "h3"},
        {"r1": "h2", "r2": "h3", "r0": "h1"},
    )
    for after in moves:
        for names in permutations(after):
            await apply(api, registries={}, prune=True)
            assert "changes" in await apply(api, registries=hosts(r1="h1", r2="h2"))
            start = await events_so_far(api)
            done = await apply(api, registries=hosts(**{name: after[name] for name in names}))
            assert "changes" in done, (names, done)
            there = (await exported(api))["registries"]
            assert {name: one["url"] for name, one in there.items()} == {
                name: f"https://{host}.example" for name, host in after.items()
            }
            urls = await audited(api, "registry.change", "url", 2)
            assert urls["r1"] == ("https://h1.example", "https://h2.example")
            assert await names_in_events(api, start) == set(after)


async def test_a_host_by_name_moves_from_a_renamed_project_to_another_one(api: Api) -> None:
    before = {"shop.api": with_domains("1", prod=""), "b": with_domains("2", prod="")}
    for names in (("shop-api", "old"), ("old", "shop-api")):
        await apply(api, projects={}, prune=True)
        assert "changes" in await apply(api, projects=before)
        after = {"old": with_domains("1", prod=""), "shop-api": with_domains("2", prod="")}
        start = await events_so_far(api)
        done = await apply(api, projects={name: after[name] for name in names})
        assert "changes" in done, done
        assert await audited(api, "project.change", "name", 2) == {
            "old": ("shop.api", "old"),
            "shop-api": ("b", "shop-api"),
        }
        assert await names_in_events(api, start) == {"old", "shop-api"}


async def test_a_clash_with_a_project_that_is_renamed_names_it_as_people_know_it(api: Api) -> None:
    domain = f"new-prod.{BASE_DOMAIN}"
    before = {"a1": with_domains("a", prod=domain), "b1": with_domains("b", prod="")}
    assert "changes" in await apply(api, projects=before)
    after = {"new": with_domains("b", prod=""), "other": with_domains("a", prod=domain)}
    problem = await apply(api, projects=after)
    words = f"the stage prod of a1 has the domain {domain} already, which is where the stage prod"
    assert problem["message"].startswith(f"{words} of new would answer"), problem


async def test_a_stage_that_is_deleted_keeps_no_option_from_its_project(api: Api) -> None:
    before = with_domains("1", prod="", old="")
    before["stages"]["old"]["env"] = {"TOKEN": "open"}
    assert "changes" in await apply(api, projects={"shop": before})
    after = with_domains("1", prod="") | {"secrets": {"TOKEN": "sealed"}}
    problem = await apply(api, projects={"shop": after})
    assert "TOKEN is a secret of the project and in env of the stage old" in problem["message"]
    done = await apply(api, projects={"shop": after}, prune=True)
    assert ("changes" in done, done.get("failures")) == (True, []), done
    gone = await api.caller.get("/api/audit?limit=1&action=stage.delete")
    env = [one for one in gone.json["items"][0]["changes"] if one["field"].startswith("env")]
    assert [one["before"] for one in env] == ["open"]


async def test_a_project_takes_options_that_only_the_new_stage_allows(api: Api) -> None:
    before = with_domains("1", prod="")
    before["stages"]["prod"]["max_instances"] = 3
    assert "changes" in await apply(api, projects={"shop": before})
    after = with_domains("1", prod="") | {"publish": ["127.0.0.1:8080:80"]}
    assert "changes" in await apply(api, projects={"shop": after})


async def test_a_clash_in_the_result_is_refused_and_changes_nothing(api: Api) -> None:
    before = images(ra="a", rb="b", rc="c")
    assert "changes" in await apply(api, projects=before)
    there, start = await exported(api), await events_so_far(api)
    known = await api.store.read(lambda reader: reader.projects())
    clashes: list[tuple[dict[str, str], str]] = [
        ({"ra": "b", "rb": "b"}, "the project rb deploys the image hub.example/acme/b already"),
        ({"rb": "c", "rx": "c"}, "the project rc deploys the image hub.example/acme/c already"),
        ({"ra": "c", "rb": "a"}, "the project rc deploys the image hub.example/acme/c already"),
        ({"ra": "c", "rb": "c"}, "the project rc deploys the image hub.example/acme/c already"),
    ]
    for after, words in clashes:
        for names in permutations(after):
            problem = await apply(api, projects=images(**{name: after[name] for name in names}))
            assert "changes" not in problem
            if names == tuple(after):
                assert words in problem["message"], problem
            assert "deploys the image" in problem["message"]
            assert not any(one.id in problem["message"] for one in known)
            # What clashes is not left out: to delete the rest would change nothing.
            assert "--prune" not in problem["message"]
    assert await exported(api) == there
    assert await events_so_far(api) == start


async def test_a_domain_moves_from_what_is_deleted_to_a_new_stage(api: Api) -> None:
    domain = "z.example.com"
    afters: list[dict[str, Any]] = [
        {"zz3": with_domains("3", live=domain)},
        {"new": with_domains("4", prod=domain)},
    ]
    for after in afters:
        await apply(api, projects={}, prune=True)
        assert "changes" in await apply(api, projects={"zz3": with_domains("3", prod=domain)})
        refused = await apply(api, projects=after)
        assert "the stage prod of zz3 has the domain z.example.com already" in refused["message"]
        gone = "stage zz3 prod" if "zz3" in after else "project zz3"
        assert refused["message"].endswith(f"what the file does not name: {gone}"), refused
        done = await apply(api, projects=after, prune=True)
        assert ("changes" in done, done.get("failures")) == (True, []), done
        (name,) = after
        assert list((await exported(api))["projects"]) == [name]
        assert list((await exported(api))["projects"][name]["stages"]) == list(
            after[name]["stages"]
        )
        given_up = await audited(api, "stage.change", "domains", 1)
        assert list(given_up.values()) == [([domain], [])]


async def test_an_image_or_host_of_what_is_deleted_needs_two_applies_and_says_which(
    api: Api,
) -> None:
    before = {"ra": with_domains("a", prod=""), "x.y": with_domains("b", prod="")}
    registries = hosts(r1="h1", r2="h2")
    assert "changes" in await apply(api, projects=before, registries=registries)
    there = await exported(api)
    cases: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        (
            "projects.ra",
            "project x.y",
            {"projects": {"ra": with_domains("a", prod="")}},
            {"projects": {"ra": with_domains("b", prod="")}},
        ),
        (
            "projects.x-y.stages.prod",
            "project x.y",
            {"projects": {"ra": with_domains("a", prod="")}},
            {"projects": {"x-y": with_domains("c", prod="")}},
        ),
        (
            "registries.r1",
            "registry r2",
            {"registries": hosts(r1="h1")},
            {"registries": hosts(r1="h2")},
        ),
    ]
    for place, what, first, then in cases:
        problem = await apply(api, prune=True, **then)
        assert problem["field"] == place
        assert f"the {what} is deleted only after all changes" in problem["message"].replace(
            "The", "the"
        )
        assert f"--prune: first a file in which {place} is as it is" in problem["message"]
        assert await exported(api) == there
        # The same without --prune deletes nothing, so that there is nothing to say about it.
        assert "two applies" not in (await apply(api, **then))["message"]
        for sections in (first, then):
            done = await apply(api, prune=True, **sections)
            assert ("changes" in done, done.get("failures")) == (True, []), done
        await apply(api, prune=True, projects={}, registries={})
        assert "changes" in await apply(api, projects=before, registries=registries)


async def test_a_stage_that_cannot_be_deleted_has_given_up_its_domain_on_record(api: Api) -> None:
    before = {"old": with_domains("1", prod="z.example.com", dev="dev.example.com")}
    assert "changes" in await apply(api, projects=before)
    after = {"old": with_domains("1", live="z.example.com")}

    (project,) = await api.store.read(lambda reader: reader.projects())
    stages = await api.store.read(lambda reader: reader.stages(project.id))
    (prod,) = (one for one in stages if one.name == "prod")
    running = deploy_record(project.id, prod.id, status=DeployStatus.RUNNING)
    await put_deploy(api, running)
    done = await apply(api, projects=after, prune=True)
    assert [one["name"] for one in done["failures"]] == ["old prod"], done
    left = (await exported(api))["projects"]["old"]["stages"]
    assert ("domains" in left["prod"], left["live"]["domains"]) == (False, ["z.example.com"])
    over = replace(running, status=DeployStatus.FAILED)
    await api.store.write(lambda tx: tx.put_deploy(over))
    done = await apply(api, projects=after, prune=True)
    assert ([one["name"] for one in done["changes"]], done["failures"]) == (["old prod"], [])
