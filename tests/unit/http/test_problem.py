"""Each kind of problem is documented, and has a type."""

import json
import re
from pathlib import Path

import pytest

from tagboat.http.problem import KIND_OF_STATUS, ProblemKind, problem

DOCUMENT = Path(__file__).parents[3] / "docs" / "problems.md"


def test_the_document_has_each_kind_and_no_other() -> None:
    assert re.findall(r"^## (.+)$", DOCUMENT.read_text(), re.MULTILINE) == list(ProblemKind)


@pytest.mark.parametrize(("status", "kind"), KIND_OF_STATUS.items())
def test_the_document_has_the_status_of_each_kind(status: int, kind: ProblemKind) -> None:
    assert f"\n## {kind}\n\nStatus {status}. " in DOCUMENT.read_text()


def test_a_problem_has_the_type_of_its_status_or_a_more_precise_one() -> None:
    assert json.loads(problem(503, "gone")) == {
        "type": "/problems/unavailable",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "gone",
    }
    precise = json.loads(problem(503, "gone", kind=ProblemKind.ENGINE_UNAVAILABLE))
    assert precise["type"] == "/problems/engine-unavailable"
    assert json.loads(problem(418, "tea"))["type"] == "about:blank"
