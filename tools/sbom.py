"""The parts list of a release (SBOM), in CycloneDX 1.6.

It has the packages that the wheel needs, in the locked versions and with their licences, how they
depend on one another, and the files of other projects in the pages. Licences and requirements are
those of the packages installed where it is made.
"""

import importlib.metadata
import json
import tomllib
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.lock import Pin

Component = dict[str, Any]
_NAMESPACE = uuid.UUID("5f0a7e1c-6f6b-5d0e-8a57-0d2c1f6f7a55")
_LONGEST_NAME = 60


def requirement_graph(
    wanted: Iterable[Requirement], requires: Callable[[str], Iterable[str]]
) -> dict[str, set[str]]:
    """Return the names of all packages that are needed, each with those that it needs itself.

    `requires` returns the requirements of a package as its metadata has them.
    """
    graph: dict[str, set[str]] = {}
    waiting, seen = list(wanted), set[tuple[str, frozenset[str]]]()
    while waiting:
        one = waiting.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        needed = [
            other for other in map(Requirement, requires(name)) if _applies(other, {"", *extras})
        ]
        graph.setdefault(name, set()).update(canonicalize_name(other.name) for other in needed)
        waiting += needed
    return graph


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def make_sbom(
    version: str,
    graph: Mapping[str, Iterable[str]],
    top: Iterable[str],
    pins: Mapping[str, Pin],
    vendored: Iterable[Mapping[str, Any]],
    *,
    licences: Callable[[str], list[Component]],
    made_at: datetime,
) -> Component:
    """Return the document of Tagboat `version`.

    `graph` is that of `requirement_graph`, `top` are the names that Tagboat itself requires, and
    `vendored` the packages of vendored.toml.
    """
    purls = {name: f"pkg:pypi/{name}@{pins[name].version}" for name in graph}
    libraries = [
        _component("library", purls[name], name, pins[name].version, licences(name))
        for name in sorted(graph)
    ]
    files = [
        _component(
            "library",
            f"pkg:npm/{one['name']}@{one['version']}",
            one["name"],
            one["version"],
            # An SPDX expression writes it in capitals.
            [{"expression": one["licence"].replace(" and ", " AND ")}],
        )
        for one in vendored
    ]
    own = f"pkg:pypi/tagboat@{version}"
    depends = {own: [*(purls[name] for name in top), *(one["bom-ref"] for one in files)]} | {
        purls[name]: [purls[other] for other in others] for name, others in graph.items()
    }
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": made_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": _component(
                "application", own, "tagboat", version, [{"license": {"id": "MIT"}}]
            ),
        },
        "components": libraries + files,
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(set(others))}
            for ref, others in sorted(depends.items())
        ],
    }
    # The same for the same content, so that a release can be built again.
    serial = uuid.uuid5(_NAMESPACE, json.dumps(content, sort_keys=True))
    return {"serialNumber": f"urn:uuid:{serial}", **content}


def installed_requires(name: str) -> list[str]:
    """Return the requirements of an installed package. Raises PackageNotFoundError."""
    return importlib.metadata.requires(name) or []


def installed_licences(name: str) -> list[Component]:
    """Return the licences of an installed package as CycloneDX has them."""
    metadata = importlib.metadata.metadata(name)
    if expressions := metadata.get_all("License-Expression"):
        return [{"expression": expressions[0]}]
    named = (metadata.get_all("License") or [""])[0]
    # Some packages have the whole text there.
    if named and "\n" not in named and len(named) <= _LONGEST_NAME:
        return [{"license": {"name": named}}]
    classifiers = metadata.get_all("Classifier") or []
    return [
        {"license": {"name": one.rpartition(" :: ")[2]}}
        for one in classifiers
        if one.startswith("License :: ")
    ]


def sbom_of(
    version: str, pyproject: str, pins: Mapping[str, Pin], vendored: str, epoch: int
) -> str:
    """Return the document as text, from the texts of pyproject.toml and vendored.toml."""
    wanted = [Requirement(text) for text in tomllib.loads(pyproject)["project"]["dependencies"]]
    document = make_sbom(
        version,
        requirement_graph(wanted, installed_requires),
        [canonicalize_name(one.name) for one in wanted],
        pins,
        tomllib.loads(vendored)["package"],
        licences=installed_licences,
        made_at=datetime.fromtimestamp(epoch, UTC),
    )
    return json.dumps(document, indent=2) + "\n"


def _component(
    kind: str, purl: str, name: str, version: str, licences: list[Component]
) -> Component:
    return {
        "type": kind,
        "bom-ref": purl,
        "name": name,
        "version": version,
        "licenses": licences,
        "purl": purl,
    }
