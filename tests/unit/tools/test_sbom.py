"""The parts list has what the wheel needs, and nothing else."""

import json
import tomllib

from packaging.requirements import Requirement

from tools.lock import LOCK, PYPROJECT, SERVER_LOCK, parse
from tools.packages import ROOT
from tools.sbom import installed_requires, requirement_graph, sbom_of

VENDORED = (ROOT / "src/tagboat/web/vendored.toml").read_text()
EPOCH = 1_750_000_000
METADATA = {
    "a": ["B[fast]>=1", "c ; sys_platform == 'plan9'", "d ; extra == 'tests'"],
    "b": ["e ; extra == 'fast'", "f ; extra == 'slow'", "a"],
    "e": [],
}


def sbom() -> str:
    pins = parse(LOCK.read_text())[0]
    return sbom_of("1.2.3", PYPROJECT.read_text(), pins, VENDORED, EPOCH)


def test_markers_and_extras_decide_what_is_needed() -> None:
    assert requirement_graph([Requirement("A")], lambda name: METADATA[name]) == {
        "a": {"b"},
        "b": {"a", "e"},
        "e": set(),
    }


def test_it_has_the_packages_of_the_servers_lock_and_those_in_the_pages() -> None:
    document = json.loads(sbom())
    found = {one["purl"] for one in document["components"]}
    pins = parse(SERVER_LOCK.read_text())[0]
    tables = tomllib.loads(PYPROJECT.read_text())
    needed, builds = (
        requirement_graph(map(Requirement, texts), installed_requires)
        for texts in (tables["project"]["dependencies"], tables["dependency-groups"]["build"])
    )
    assert needed.keys() | builds.keys() == pins.keys()
    assert {f"pkg:pypi/{name}@{pins[name].version}" for name in needed} < found
    assert "pkg:npm/htmx.org@2.0.11" in found
    assert not any("pytest" in purl for purl in found)


def test_each_part_is_there_once_with_a_licence_and_its_place() -> None:
    document = json.loads(sbom())
    refs = [one["bom-ref"] for one in document["components"]]
    assert len(set(refs)) == len(refs)
    assert [one["name"] for one in document["components"] if not one["licenses"]] == []
    (icons,) = (one for one in document["components"] if one["name"].startswith("lucide"))
    assert icons["licenses"] == [{"expression": "ISC AND MIT"}]
    known = {*refs, document["metadata"]["component"]["bom-ref"]}
    named = {ref for one in document["dependencies"] for ref in (one["ref"], *one["dependsOn"])}
    assert named <= known
    depends = {one["ref"]: one["dependsOn"] for one in document["dependencies"]}
    assert "pkg:pypi/uvicorn@0.54.0" in depends["pkg:pypi/tagboat@1.2.3"]


def test_it_is_the_same_each_time() -> None:
    text = sbom()
    assert text == sbom()
    assert json.loads(text)["metadata"]["timestamp"] == "2025-06-15T15:06:40Z"
