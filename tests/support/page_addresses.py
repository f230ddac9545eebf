"""An address of each page, as the routers declare them, on a server that `sample_pages` filled."""

import re
from urllib.parse import urlsplit

from tagboat.core.catalog import Registry, RegistryKind
from tagboat.core.deploy import InstanceState
from tagboat.core.ids import new_id
from tagboat.core.ports import Reader
from tagboat.core.principal import PrincipalKind, Role
from tagboat.http.identification import fixed_principal
from tagboat.web.app import ROUTERS
from tests.support.api import Api
from tests.support.sample_pages import Filled

WITHOUT_ACCOUNT = {"/sign-in", "/sign-in/{token}", "/setup/{token}"}
"""Seen by those who are not signed in."""
_LOCAL = fixed_principal(PrincipalKind.LOCAL, "the server's command line")
_NOT_PAGES = re.compile(
    r"/live|/oidc/.*|.*/stream|.*\.(txt|json)|/new-project/.*|.*/(requests|pattern)|/server/state"
)
"""Streams, files, ways to other servers, and parts that a page takes over."""
_IMAGE = "git.example.com/acme/brand-new"
_QUERIES = {
    "/find/order": "?q=hold+shop+prod",
    "/projects/{project}/{stage}/promote": "?from=staging",
}
"""What a page is asked with."""
_FURTHER = (
    "/?state=failed",
    "/?q=nothing-has-this-name",
    "/deploys?status=failed",
    "/deliveries?sender=nobody",
    "/explain?image=git.example.com/acme/shop:v1.5.0",
    "/find?q=deploy+shop+prod+v9",
    "/new-project?registry={registry_id}&list=1",
    f"/new-project?image={_IMAGE}",
    f"/new-project?image={_IMAGE}&look=1",
    "/projects/{project}/{stage}/promote",
)


async def page_addresses(api: Api, filled: Filled, project: str = "shop") -> list[str]:
    """Return the addresses of all pages that a person who is signed in can open,
    those of projects with one of the name `project`. What they are about is put on record.

    A route with a new parameter needs a value here: a KeyError names it.
    """
    known = {"deploy_id": filled.failed, "project": project, "stage": "prod"}
    known |= await _put_on_record(api, filled)
    found = {
        route.path + _QUERIES.get(route.path, "")
        for router in ROUTERS
        for route in router.routes
        if route.method == "GET"
        and route.path not in WITHOUT_ACCOUNT
        and not _NOT_PAGES.fullmatch(route.path)
    }
    return [
        *(
            re.sub(r"{(\w+)(?::\w+)?}", lambda match: known[match[1]], path)
            for path in (*sorted(found), *_FURTHER)
        ),
        *(f"/deploys/{one}" for one in (filled.running, filled.queued, filled.live)),
        "/no-such-page",
    ]


async def sign_in_address(api: Api) -> str:
    """Return the path of a new sign-in link."""
    (account,) = await api.store.read(lambda reader: reader.accounts("", 1))
    operations = api.operations.by(_LOCAL)
    return urlsplit((await operations.sign_in_links.make(account.id)).url).path


async def _put_on_record(api: Api, filled: Filled) -> dict[str, str]:
    """Return the ids of a registry, a webhook call, an account and an instance."""
    # A host of its own: the database may be kept, and asked for this again.
    name = f"forge-{new_id()[-6:]}"
    registry = Registry(
        id=new_id(),
        name=name,
        url=f"https://{name}.example.com",
        kind=RegistryKind.OCI,
    )
    account = await api.operations.accounts.create(
        f"dora-{new_id()[-6:]}", Role.DEPLOYER, "correct horse battery"
    )
    await api.operations.tokens.create(f"ci-{new_id()[-6:]}", Role.DEPLOYER, expires_in_days=9)
    url = (await api.caller.get("/api/settings/webhook")).json["url"]
    path = "/api/webhook/" + url.rpartition("/")[2]
    await api.anonymous.post(path, {"image": "git.example.com/other/unknown:v1"})
    await api.store.write(lambda tx: tx.add_registry(registry))

    def work(reader: Reader) -> dict[str, str]:
        (call,) = reader.deliveries(limit=1)
        (live,) = reader.instances(
            stage_id=reader.deploy(filled.live).stage_id, states=[InstanceState.LIVE]
        )
        return {"delivery_id": call.id, "instance_id": live.id}

    return {
        "registry_id": registry.id,
        "account_id": account.account.id,
        **await api.store.read(work),
    }
