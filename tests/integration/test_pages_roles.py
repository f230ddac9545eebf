"""Every page and order with every role, and without a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagboat.core.ports import Tx
from tagboat.core.principal import Role
from tagboat.core.values import replace
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
    ("GET", "/deliveries"): Role.VIEWER,
    ("GET", "/deliveries/{delivery_id}"): Role.VIEWER,
    ("POST", "/deliveries/{delivery_id}/redeliver"): Role.ADMIN,
    ("GET", "/explain"): Role.VIEWER,
    ("GET", "/connect"): Role.VIEWER,
    ("POST", "/connect/regenerate"): Role.ADMIN,
    ("POST", "/connect/webhooks"): Role.ADMIN,
    ("POST", "/connect/webhooks/{webhook_id}/rotate"): Role.ADMIN,
    ("POST", "/connect/webhooks/{webhook_id}/revoke"): Role.ADMIN,
    ("GET", "/connect/test"): Role.VIEWER,
    ("GET", "/new-project"): Role.VIEWER,
    ("GET", "/new-project/images"): Role.ADMIN,
    ("GET", "/new-project/look"): Role.ADMIN,
    ("GET", "/new-project/matches"): Role.ADMIN,
    ("POST", "/new-project"): Role.ADMIN,
    ("POST", "/new-project/quick"): Role.DEPLOYER,
    ("GET", "/projects/{project}/{stage}/logs"): Role.VIEWER,
    ("GET", "/projects/{project}/{stage}/logs.txt"): Role.VIEWER,
    ("GET", "/projects/{project}/{stage}/logs/stream"): Role.VIEWER,
    ("GET", "/instances/{instance_id}/logs"): Role.VIEWER,
    ("GET", "/instances/{instance_id}/logs.txt"): Role.VIEWER,
    ("GET", "/instances/{instance_id}/logs/stream"): Role.VIEWER,
    ("GET", "/deploys/{deploy_id}/log"): Role.VIEWER,
    ("GET", "/deploys/{deploy_id}/log.txt"): Role.VIEWER,
    ("GET", "/registries"): Role.VIEWER,
    ("GET", "/registries/new"): Role.ADMIN,
    ("POST", "/registries/new"): Role.ADMIN,
    ("GET", "/registries/{registry_id}"): Role.VIEWER,
    ("POST", "/registries/{registry_id}"): Role.ADMIN,
    ("POST", "/registries/{registry_id}/test"): Role.ADMIN,
    ("POST", "/registries/{registry_id}/images"): Role.ADMIN,
    ("POST", "/registries/{registry_id}/delete"): Role.ADMIN,
    ("GET", "/settings"): Role.VIEWER,
    ("POST", "/settings"): Role.ADMIN,
    ("GET", "/server"): Role.VIEWER,
    ("GET", "/server/state"): Role.VIEWER,
    ("GET", "/users"): Role.ADMIN,
    ("GET", "/users/new"): Role.ADMIN,
    ("POST", "/users/new"): Role.ADMIN,
    ("GET", "/users/{account_id}"): Role.ADMIN,
    ("POST", "/users/{account_id}"): Role.ADMIN,
    ("POST", "/users/{account_id}/sign-out"): Role.ADMIN,
    ("POST", "/users/{account_id}/delete"): Role.ADMIN,
    ("GET", "/tokens"): Role.ADMIN,
    ("POST", "/tokens"): Role.ADMIN,
    ("POST", "/tokens/{token_id}/delete"): Role.ADMIN,
    ("GET", "/audit"): Role.ADMIN,
    ("GET", "/account"): Role.VIEWER,
    ("POST", "/account/password"): Role.VIEWER,
    ("POST", "/account/sessions/{session_id}/end"): Role.VIEWER,
    ("POST", "/account/sign-out-everywhere"): Role.VIEWER,
    ("GET", "/projects"): Role.VIEWER,
    ("GET", "/projects/{project}"): Role.VIEWER,
    ("POST", "/projects/{project}/-/poll"): Role.DEPLOYER,
    ("GET", "/projects/{project}/-/deploy"): Role.VIEWER,
    ("POST", "/projects/{project}/-/deploy"): Role.DEPLOYER,
    ("GET", "/projects/{project}/-/settings"): Role.VIEWER,
    ("POST", "/projects/{project}/-/settings"): Role.ADMIN,
    ("POST", "/projects/{project}/-/secrets"): Role.ADMIN,
    ("GET", "/projects/{project}/-/stages/new"): Role.ADMIN,
    ("POST", "/projects/{project}/-/stages/new"): Role.ADMIN,
    ("GET", "/projects/{project}/-/pattern"): Role.VIEWER,
    ("GET", "/projects/{project}/-/delete"): Role.ADMIN,
    ("POST", "/projects/{project}/-/delete"): Role.ADMIN,
    ("GET", "/projects/{project}/{stage}"): Role.VIEWER,
    ("GET", "/projects/{project}/{stage}/requests"): Role.VIEWER,
    ("POST", "/projects/{project}/{stage}/deploy"): Role.DEPLOYER,
    ("POST", "/projects/{project}/{stage}/hold"): Role.DEPLOYER,
    ("POST", "/projects/{project}/{stage}/release"): Role.DEPLOYER,
    ("POST", "/projects/{project}/{stage}/restart"): Role.DEPLOYER,
    ("POST", "/projects/{project}/{stage}/stop"): Role.DEPLOYER,
    ("POST", "/projects/{project}/{stage}/start"): Role.DEPLOYER,
    ("GET", "/projects/{project}/{stage}/rollback"): Role.VIEWER,
    ("POST", "/projects/{project}/{stage}/rollback"): Role.DEPLOYER,
    ("GET", "/projects/{project}/{stage}/settings"): Role.VIEWER,
    ("POST", "/projects/{project}/{stage}/settings"): Role.ADMIN,
    ("GET", "/projects/{project}/{stage}/pattern"): Role.VIEWER,
    ("POST", "/projects/{project}/{stage}/secrets"): Role.ADMIN,
    ("GET", "/projects/{project}/{stage}/delete"): Role.ADMIN,
    ("POST", "/projects/{project}/{stage}/delete"): Role.ADMIN,
    ("GET", "/projects/{project}/{stage}/promote"): Role.VIEWER,
    ("POST", "/projects/{project}/{stage}/promote"): Role.DEPLOYER,
    ("GET", "/find"): Role.VIEWER,
    ("GET", "/find.json"): Role.VIEWER,
    ("GET", "/find/order"): Role.DEPLOYER,
    ("POST", "/find/order"): Role.DEPLOYER,
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("POST", "/kept"): None,
    ("POST", "/sign-out"): None,
    ("GET", "/setup/{token}"): None,
    ("POST", "/setup/{token}"): None,
    ("GET", "/sign-in/{token}"): None,
    ("POST", "/sign-in/{token}"): None,
    ("GET", "/oidc/start"): None,
    ("GET", "/oidc/callback"): None,
    ("POST", "/oidc/backchannel-logout"): None,
    ("GET", "/live"): Role.VIEWER,
    ("POST", "/theme"): None,
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

    def give_passwords(tx: Tx) -> None:
        for account in tx.accounts():
            tx.put_account(replace(account, password="of another kind"))

    # Who has none may not change it, whatever the role.
    await api.store.write(give_passwords)
    # The one that ends the session comes last.
    last = "/account/sign-out-everywhere"
    for (method, path), needed in sorted(NEEDED.items(), key=lambda one: one[0][1] == last):
        if needed is None or path == "/live":  # a stream has no end; test_pages_frame.py has it
            continue
        address = path.replace("{deploy_id}", "18ec0000").replace("{token}", "no-such")
        stranger = await (nobody.get(address) if method == "GET" else nobody.post(address))
        assert (stranger.status, stranger.headers["location"][:8]) == (303, "/sign-in"), path
        for role, visitor in visitors.items():
            answer = await (visitor.get(address) if method == "GET" else visitor.post(address))
            # What does not exist is 404 for those who may look, and 403 for all others.
            assert (answer.status != 403) == role.includes(needed), (method, path, role)
