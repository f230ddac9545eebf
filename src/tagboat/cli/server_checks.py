"""Checks of `tagboat doctor` that ask the server."""

from collections.abc import Iterator

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, ApiObject, Client
from tagboat.cli.machine_checks import Finding
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
        # An unreachable one takes until its time-out.
        show.progress(f"asking the registry {registry['name']}")
        yield _test_registry(client, registry)
    # A registry that needs no entry is seen only by the polls of its projects.
    for project in client.items("/api/projects"):
        if error := project["poll"]["error"]:
            detail = f"{error}; 'tagboat poll {project['name']}' tries again"
            yield Finding(f"last poll of {project['name']}", ok=False, detail=detail)
    for page in client.pages("/api/overview"):
        for row in page["items"]:
            where = f"{row['project']['name']} {row['stage']['name']}"
            # The image that was live before may exist nowhere any more.
            if row["way_back"]["tag"] is not None and not row["way_back"]["possible"]:
                yield Finding(f"rollback of {where}", ok=False, detail=row["way_back"]["reason"])
            for instance in row["live"]:
                if trouble := instance.get("trouble"):
                    detail = f"{instance['tag']}: {trouble}"
                    yield Finding(f"instance of {where}", ok=False, detail=detail)
        for call in page["senders"]:
            shows = f"'tagboat deliveries show {call['delivery']}' shows the call"
            detail = f"{call['reason']} ({shows})"
            yield Finding(f"sender {call['sender']}", ok=False, detail=detail)


def _test_registry(client: Client, registry: ApiObject) -> Finding:
    name = f"registry {registry['name']}"
    try:
        answer = client.post(f"/api/registries/{registry['id']}/test", timeout_s=LONG_TIMEOUT_S)
    except TagboatError as error:
        return Finding(name, ok=False, detail=str(error))
    if answer["ok"]:
        # The engine may need a certificate that only a person can give it.
        hints = [check["detail"] for check in answer["checks"] if check["name"] == "engine"]
        return Finding(name, ok=True, detail="; ".join([f"{registry['url']} answers", *hints]))
    wrong = "; ".join(
        f"{check['name']}: {check['detail']}" for check in answer["checks"] if not check["ok"]
    )
    return Finding(name, ok=False, detail=wrong or "does not work")
