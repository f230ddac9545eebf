"""An address of each page, as the routers declare them, on a server that `sample_pages` filled."""

import re

from tagboat.web.app import ROUTERS
from tests.support.sample_pages import Filled

NOT_PAGES = {"/live", "/oidc/start", "/oidc/callback"}
"""Streams, and ways to other servers."""
WITHOUT_ACCOUNT = {"/sign-in", "/sign-in/{token}", "/setup/{token}"}
"""Seen by those who are not signed in."""
_FURTHER = ("/?state=failed", "/?q=nothing-has-this-name", "/deploys?status=failed")


def page_addresses(filled: Filled, project: str = "shop") -> list[str]:
    """Return the addresses of all pages that a person who is signed in can open,
    those of projects with one of the name `project`.

    A route with a new parameter needs a value here: a KeyError names it.
    """
    known = {"deploy_id": filled.failed, "project": project, "stage": "prod"}
    found = {
        re.sub(r"{(\w+)(?::\w+)?}", lambda match: known[match[1]], route.path)
        for router in ROUTERS
        for route in router.routes
        if route.method == "GET" and route.path not in NOT_PAGES | WITHOUT_ACCOUNT
    }
    return [
        *sorted(found),
        *_FURTHER,
        *(f"/deploys/{one}" for one in (filled.running, filled.queued, filled.live)),
        "/no-such-page",
    ]
