"""Checks of `tagboat doctor` that ask the server."""

from collections.abc import Iterator

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, ApiObject, Client
from tagboat.cli.deliveries import senders_with_problems
from tagboat.cli.machine_checks import Finding
from tagboat.cli.status import has_trouble
from tagboat.core.errors import TagboatError

_CHOSEN_NONE = {
    "ingress": "none: instances answer at their own loopback addresses; "
    "set TAGBOAT_INGRESS=haproxy to get one"
}


def check_health(health: ApiObject) -> Iterator[Finding]:
    """Yield the checks that are in the answer of GET /api/health."""
    has_database = health["status"] != "unavailable"
    detail = f"Tagboat {health['version']} answers"
    if health["status"] != "ok":
        detail = f"{detail}: {health['status']}, see below"
    yield Finding("server", ok=has_database, detail=detail)
    for name, state in health["checks"].items():
        if state == "none" and name in _CHOSEN_NONE:
            yield Finding(name, ok=True, detail=_CHOSEN_NONE[name])
        # A registry that fails has a finding below, or its project has.
        elif name != "registries":
            yield Finding(name, ok=state == "ok", detail="answers" if state == "ok" else state)


def check_with_token(client: Client) -> Iterator[Finding]:
    """Yield the checks that need a token. Raises TagboatError if a call fails."""
    for registry in client.items("/api/registries"):
        show.progress(f"asking the registry {registry['name']}")
        yield _test_registry(client, registry)
    # A registry that needs no entry is seen only by the polls of its projects.
    for project in client.items("/api/projects"):
        if error := project["poll"]["error"]:
            detail = f"{error}; 'tagboat poll {project['name']}' tries again"
            yield Finding(f"last poll of {project['name']}", ok=False, detail=detail)
    # A stage cannot be rolled back if the image that was live before exists nowhere any more.
    for project in client.items("/api/projects"):
        for stage in client.items(f"/api/projects/{project['id']}/stages"):
            way = client.get(f"/api/stages/{stage['id']}/rollback")
            if way["tag"] is not None and not way["possible"]:
                check = f"rollback of {project['name']} {stage['name']}"
                yield Finding(check, ok=False, detail=way["reason"])
    for instance in filter(has_trouble, client.items("/api/instances", state="live")):
        check = f"instance of {instance['project']['name']} {instance['stage']['name']}"
        yield Finding(check, ok=False, detail=f"{instance['tag']}: {instance['trouble']}")
    for call in senders_with_problems(client):
        detail = f"{call['reason']} ('tagboat deliveries show {call['id']}' shows the call)"
        yield Finding(f"sender {call['sender']}", ok=False, detail=detail)


def _test_registry(client: Client, registry: ApiObject) -> Finding:
    name = f"registry {registry['name']}"
    try:
        answer = client.post(f"/api/registries/{registry['id']}/test", timeout_s=LONG_TIMEOUT_S)
    except TagboatError as error:
        return Finding(name, ok=False, detail=str(error))
    if answer["ok"]:
        hints = [check["detail"] for check in answer["checks"] if check["name"] == "engine"]
        return Finding(name, ok=True, detail="; ".join([f"{registry['url']} answers", *hints]))
    wrong = "; ".join(
        f"{check['name']}: {check['detail']}" for check in answer["checks"] if not check["ok"]
    )
    return Finding(name, ok=False, detail=wrong or "does not work")
