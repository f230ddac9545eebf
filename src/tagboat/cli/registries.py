"""`tagboat registries`, `images` and `tags`: what there is to choose from."""

from tagboat.cli import show
from tagboat.cli.client import Answer, Client
from tagboat.cli.names import find_registry
from tagboat.core.errors import TagboatError

_COLUMNS = ("registry", "url", "kind", "username", "certificates")


def registries(client: Client, *, as_json: bool) -> int:
    """List the registries."""
    items = client.items("/api/registries")
    if as_json:
        show.as_json(items)
    elif items:
        show.table(_COLUMNS, map(_row, items))
    else:
        show.line("There is no registry yet; those that want no login need none.")
    return 0


def images(client: Client, registry: str, *, as_json: bool) -> int:
    """List the images of a registry."""
    found = find_registry(client, registry)
    return _choice(client.get_long(f"/api/registries/{found['id']}/images"), as_json=as_json)


def tags(client: Client, image: str, *, as_json: bool) -> int:
    """List the tags that an image has in its registry."""
    return _choice(client.get_long("/api/images/tags", image=image), as_json=as_json)


def _choice(answer: Answer, *, as_json: bool) -> int:
    if answer["error"]:
        raise TagboatError(answer["error"])
    if as_json:
        show.as_json(answer)
        return 0
    if answer["items"]:
        show.line("\n".join(answer["items"]))
    if not answer["whole"]:
        show.progress("the registry has more; these are the first that it named")
    return 0


def _row(registry: Answer) -> tuple[object, ...]:
    certificates = "the system's and its own" if registry["ca_cert"] else "the system's"
    plain = registry["url"].startswith("http://")
    return (
        registry["name"],
        registry["url"],
        registry["kind"],
        registry["username"],
        "none: plain HTTP" if plain else certificates,
    )
