"""Finding projects and stages by the names that people type."""

from typing import Any

from tagboat.cli.client import Client
from tagboat.core.errors import NotFoundError


def find_project(client: Client, name: str) -> dict[str, Any]:
    """The project of that name; raise NotFoundError listing those there are."""
    return _find(client.items("/api/projects"), name, "project")


def find_stage(client: Client, project: str, stage: str) -> dict[str, Any]:
    """The stage of that name; raise NotFoundError listing those there are."""
    found = find_project(client, project)
    return _find(client.items(f"/api/projects/{found['id']}/stages"), stage, f"stage of {project}")


def _find(items: list[dict[str, Any]], name: str, noun: str) -> dict[str, Any]:
    for item in items:
        if item["name"] == name:
            return item
    there = ", ".join(item["name"] for item in items) or "none"
    raise NotFoundError(f"there is no {noun} named {name!r}; there are: {there}")
