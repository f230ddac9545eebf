"""Every page and order with every role, and without a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.principal import Role
from tagboat.web import app
from tests.support.api import Api, running_api
from tests.support.pages import Browser, signed_in

pytestmark = pytest.mark.anyio
NEEDED = {
    ("GET", "/"): Role.VIEWER,
    ("GET", "/deploys"): Role.VIEWER,
    ("GET", "/deploys/{deploy_id}"): Role.VIEWER,
    ("POST", "/deploys/{deploy_id}/cancel"): Role.DEPLOYER,
    ("POST", "/deploys/{deploy_id}/rollback"): Role.DEPLOYER,
    ("POST", "/deploys/{deploy_id}/again"): Role.DEPLOYER,
    ("GET", "/projects/{project}/{stage}/logs"): Role.VIEWER,
    ("GET", "/projects/{project}/{stage}/logs.txt"): Role.VIEWER,
    ("GET", "/projects/{project}/{stage}/logs/stream"): Role.VIEWER,
    ("GET", "/instances/{instance_id}/logs"): Role.VIEWER,
    ("GET", "/instances/{instance_id}/logs.txt"): Role.VIEWER,
    ("GET", "/instances/{instance_id}/logs/stream"): Role.VIEWER,
    ("GET", "/deploys/{deploy_id}/log"): Role.VIEWER,
    ("GET", "/deploys/{deploy_id}/log.txt"): Role.VIEWER,
    ("GET", "/find"): Role.VIEWER,
    ("GET", "/find.json"): Role.VIEWER,
    ("GET", "/find/order"): Role.DEPLOYER,
    ("POST", "/find/order"): Role.DEPLOYER,
    ("GET", "/live"): Role.VIEWER,
    ("POST", "/theme"): None,
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("GET", "/sign-in/{token}"): None,
    ("POST", "/sign-in/{token}"): None,
    ("POST", "/sign-out"): None,
    ("GET", "/setup/{token}"): None,
    ("POST", "/setup/{token}"): None,
}
"""The least role for each, None where nobody has to be signed in. A new page has a row here."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as running:
        yield running


def test_each_page_and_order_is_in_the_table() -> None:
    declared = {
        (route.method, route.path): route.needs for router in app.ROUTERS for route in router.routes
    }
    assert declared == NEEDED


async def test_each_cell(api: Api) -> None:
    nobody = Browser(api)
    visitors = {role: await signed_in(api, role, role.value) for role in Role}
    for (method, path), needed in NEEDED.items():
        if needed is None or path == "/live":  # a stream has no end; test_pages_frame.py has it
            continue
        address = path.replace("{deploy_id}", "18ec0000").replace("{token}", "no-such")
        stranger = await (nobody.get(address) if method == "GET" else nobody.post(address))
        assert (stranger.status, stranger.headers["location"][:8]) == (303, "/sign-in"), path
        for role, visitor in visitors.items():
            answer = await (visitor.get(address) if method == "GET" else visitor.post(address))
            # What does not exist is 404 for those who may look, and 403 for all others.
            assert (answer.status != 403) == role.includes(needed), (method, path, role)
