"""`tagboat registries`, and `images` and `tags`: what there is to choose from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tagboat.cli import show
from tagboat.cli.client import LONG_TIMEOUT_S, Answer, Client
from tagboat.cli.given import confirm, read_file, read_secret
from tagboat.cli.names import find_registry
from tagboat.core.errors import TagboatError
from tagboat.core.image import parse_image_name

_COLUMNS = ("registry", "url", "kind", "username", "certificates")
_CHECK_COLUMNS = ("check", "", "detail")
_CHECK_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Login:
    """Where a registry's login comes from: a user with a password, or a Docker `config.json`."""

    username: str | None = None
    password_file: Path | None = None
    docker_config: Path | None = None

    def fields(self) -> dict[str, str]:
        """The API's fields. The password is asked for where there is a user but no file."""
        if self.docker_config is not None:
            return {"docker_config": read_file(self.docker_config)}
        if self.username is None and self.password_file is None:
            return {}
        user = {} if self.username is None else {"username": self.username}
        return {**user, "password": read_secret("password", self.password_file)}


def registries(client: Client, *, as_json: bool) -> int:
    """List the registries."""
    items = client.items("/api/registries")
    if as_json:
        show.as_json(items)
    elif items:
        show.table(_COLUMNS, map(_row, items))
    else:
        show.line(
            "There is no registry yet ('tagboat registries add'); those that want no login need none."
        )
    return 0


def add(
    client: Client, given: Mapping[str, str], login: Login, ca_cert: Path | None, *, as_json: bool
) -> int:
    """Make a registry known."""
    saved = client.post("/api/registries", {**given, **_certificates(ca_cert), **login.fields()})
    return _saved(saved, "known", as_json=as_json)


def change(
    client: Client,
    name: str,
    given: Mapping[str, str],
    login: Login,
    ca_cert: Path | None,
    *,
    as_json: bool,
) -> int:
    """Change what is given of a registry."""
    path = _path(client, name)
    return _saved(
        client.patch(path, {**given, **_certificates(ca_cert), **login.fields()}),
        "changed",
        as_json=as_json,
    )


def check(client: Client, name: str, *, as_json: bool) -> int:
    """Have the server try a registry; 1 unless all of it works."""
    answer = client.post(f"{_path(client, name)}/test", timeout_s=LONG_TIMEOUT_S)
    if as_json:
        show.as_json(answer)
    else:
        show.table(
            _CHECK_COLUMNS,
            (
                (check["name"], "ok" if check["ok"] else "wrong", check["detail"])
                for check in answer["checks"]
            ),
            columns_at_most=_CHECK_WIDTH,
        )
    return 0 if answer["ok"] else 1


def remove(client: Client, name: str, *, sure: bool, as_json: bool) -> int:
    """Forget a registry."""
    found = find_registry(client, name)
    if not sure:
        confirm(
            f"The registry {name} is forgotten, with its password.",
            f"the registry {name} would be forgotten",
        )
    client.delete(f"/api/registries/{found['id']}")
    if as_json:
        show.as_json(found)
    else:
        show.line(f"the registry {name} is forgotten")
    return 0


def _path(client: Client, name: str) -> str:
    return f"/api/registries/{find_registry(client, name)['id']}"


def _certificates(file: Path | None) -> dict[str, str]:
    return {} if file is None else {"ca_cert": read_file(file)}


def _saved(registry: Answer, what: str, *, as_json: bool) -> int:
    if as_json:
        show.as_json(registry)
    else:
        show.line(
            f"the registry {registry['name']} is {what}; 'tagboat registries test {registry['name']}' tries it"
        )
    return 0


def images(client: Client, registry: str, *, as_json: bool) -> int:
    """List the images of a registry."""
    found = find_registry(client, registry)
    return _choice(client.get_long(f"/api/registries/{found['id']}/images"), as_json=as_json)


def tags(client: Client, image: str, *, as_json: bool) -> int:
    """List the tags that an image has in its registry."""
    answer = client.get_long("/api/images/tags", image=image)
    if answer["error"] and (read := str(parse_image_name(image))) != image:
        raise TagboatError(f"{answer['error']} ({image} was read as {read})")
    return _choice(answer, as_json=as_json)


def _choice(answer: Answer, *, as_json: bool) -> int:
    if answer["error"]:
        raise TagboatError(answer["error"])
    if as_json:
        show.as_json(answer)
        return 0
    if answer["items"]:
        show.line("\n".join(answer["items"]))
    else:
        show.progress("the registry lists no images")
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
