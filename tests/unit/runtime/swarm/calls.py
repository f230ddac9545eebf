"""Managers of a swarm that only write down what is to change."""

import json
from collections.abc import Mapping
from typing import Any

from tagboat.core.errors import EngineUnavailableError


class Calls:
    """Managers that answer reads from `answers`, and write down what is to change.

    Everything has the labels that are asked for.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.changes: list[tuple[str, str, Any, Mapping[str, str]]] = []

    async def ask(
        self,
        doing: str,
        path: str,
        method: str = "GET",
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float | None = None,  # noqa: ARG002 - they answer at once
    ) -> Any:  # noqa: ANN401 - JSON
        if method == "GET":
            names = json.loads((params or {}).get("filters", "{}")).get("name")
            found = self.answers[path]
            # Real managers list what has one of these whole names, and no part of a name.
            return found if names is None else [one for one in found if one["Name"] in names]
        if "broken" in path:
            raise EngineUnavailableError(f"the swarm could not {doing}")
        self.changes.append((method, path, body, headers or {}))
        return {}
