"""`tagboat explain`."""

import pytest

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import (
    EXPLANATION,
    FakeServer,
    problem,
)


def test_explain_shows_every_stage_tried(tagboat: Tagboat, server: FakeServer) -> None:
    rows = [
        line.split()
        for line in tagboat("explain", "git.example.com/acme/app:v1").stdout.splitlines()
    ]
    assert rows[-2:] == [["dev", "main-*", "no"], ["prod", "v*", "yes"]]
    assert server.asked[0].query == {"image": "git.example.com/acme/app:v1"}


def test_explain_of_an_image_nobody_knows(tagboat: Tagboat, server: FakeServer) -> None:
    refused = EXPLANATION | {
        "project": None,
        "stage": None,
        "outcome": "refused",
        "reason": "no",
        "considered": [],
    }
    server.answers["GET /api/explain"] = refused
    assert tagboat("explain", "a:b").stdout == "git.example.com/acme/app:v1 would be refused: no\n"


def test_explain_of_what_is_no_image(tagboat: Tagboat, server: FakeServer) -> None:
    server.answers["GET /api/explain"] = problem(400, "image: that is none")
    assert tagboat.fails("explain", "::") == "image: that is none"


@pytest.mark.parametrize(
    ("listed", "missing"),
    [
        ({"items": ["v2"], "whole": True, "error": None}, True),
        ({"items": ["v1"], "whole": True, "error": None}, False),
        ({"items": ["v2"], "whole": False, "error": None}, False),
        ({"items": [], "whole": True, "error": "it is down"}, False),
        (problem(503, "not now"), False),
    ],
)
def test_explain_says_that_the_registry_lacks_the_tag(
    tagboat: Tagboat, server: FakeServer, listed: object, missing: bool
) -> None:
    server.answers["GET /api/images/tags"] = listed
    said = tagboat("explain", "git.example.com/acme/app:v1").stdout
    assert ("(the registry has no such tag yet)" in said) is missing
