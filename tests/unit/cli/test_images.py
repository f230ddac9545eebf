"""`tagboat images` and `tags`."""

from tests.unit.cli.conftest import Tagboat
from tests.unit.cli.fake_server import FakeServer


def test_a_name_that_was_read_as_an_image_of_docker_hub_is_told(
    tagboat: Tagboat, server: FakeServer
) -> None:
    server.answers["GET /api/images/tags"] = {
        "items": [],
        "whole": True,
        "error": "docker.io denied access",
    }
    assert (
        tagboat.fails("tags", "nix")
        == "docker.io denied access (nix was read as docker.io/library/nix)"
    )
    assert tagboat.fails("tags", "git.example.com/acme/app") == "docker.io denied access"
