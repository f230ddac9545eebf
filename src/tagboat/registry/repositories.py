"""Which images a registry has, so that a person can choose one instead of typing it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from yarl import URL

from tagboat.core.catalog import Registry
from tagboat.core.errors import (
    InvalidImageRefError,
    RegistryDeniedError,
    RegistryError,
    RegistryNotFoundError,
    RegistryProtocolError,
)
from tagboat.core.image import ImageName, parse_image_name
from tagboat.registry import gitea
from tagboat.registry.asking import Asker
from tagboat.registry.pages import next_page, parse_page
from tagboat.registry.site import Site
from tagboat.registry.transport import Request

MAX_IMAGES = 5_000
MAX_PAGES = 200
_MAX_BODY = 1024 * 1024
_SCOPE = "registry:catalog:*"
_GITEA_PAGE = 50
_REFUSALS = (RegistryDeniedError, RegistryNotFoundError, RegistryProtocolError)


@dataclass(frozen=True, slots=True)
class Found:
    """The images of a registry, in order of name. `whole` is False if there may be more than are listed."""

    images: tuple[ImageName, ...]
    whole: bool


class Repositories:
    """Finds the images of one registry, `limit` at most."""

    def __init__(
        self, asker: Asker, site: Site, registry: Registry, limit: int = MAX_IMAGES
    ) -> None:
        self._asker = asker
        self._site = site
        self._registry = registry
        self._limit = limit
        self._paths: dict[str, None] = {}
        self._pages = 0

    async def find(self) -> Found:
        """Ask for the catalogue; where there is none, or nothing in it, ask Gitea's package API. Raises RegistryError.

        The catalogue of a Gitea (1.18 and later) or Forgejo names each image once; its package API names each version of
        each image, children of indexes too, and knows nothing of more than one owner.
        """
        try:
            whole = await self._catalogue()
        except _REFUSALS as error:
            if not gitea.is_gitea(self._site):
                raise _untold(self._site, error) from None
            whole = await self._packages()
        else:
            if not self._paths and gitea.is_gitea(self._site) and self._site.credentials:
                whole = await self._packages()
        return Found(tuple(sorted(self._names())), whole and len(self._paths) <= self._limit)

    async def _catalogue(self) -> bool:
        url: URL | None = self._site.url("/v2/_catalog")
        links: set[URL] = set()
        while url is not None:
            links.add(url)
            request = self._request(url)
            answer = await self._asker.ask(self._site, _SCOPE, request, "a list of its images")
            following = next_page(answer.headers.getall("Link", []), url)
            fresh = self._take(parse_page(answer.body, self._site.host, "repositories"))
            url = following
            # A page that comes again ends it as well as too many: to choose from, a part is better than none.
            if url is not None and (not fresh or url in links or self._is_enough()):
                return False
        return True

    async def _packages(self) -> bool:
        """Gitea's API, owner by owner: the user and the user's organisations."""
        if self._site.credentials is None:
            raise RegistryDeniedError(
                f"{self._site.host} lists its packages only to those who are signed in: enter a username and a token with the "
                "scope read:package for this registry, or type the image's name"
            )
        for owner in await self._owners():
            if not await self._packages_of(owner):
                return False
        return True

    async def _owners(self) -> list[str]:
        name = self._registry.username or await self._own_name()
        try:
            organisations = await self._api("user/orgs?limit=50", "the organisations of the user")
        except RegistryError:  # A token for packages alone may not see them; the user's own images are better than none.
            organisations = []
        names = [
            str(entry.get("username") or entry.get("name") or "")
            for entry in _entries(organisations)
        ]
        return list(dict.fromkeys(owner for owner in (name, *names) if owner))

    async def _own_name(self) -> str:
        user = await self._api("user", "the name of the user")
        return str(user.get("login") or "") if isinstance(user, dict) else ""

    async def _packages_of(self, owner: str) -> bool:
        page = 0
        while not self._is_enough():
            page += 1
            call = (
                f"packages/{quote(owner, safe='')}?type=container&limit={_GITEA_PAGE}&page={page}"
            )
            entries = _entries(await self._api(call, f"the packages of {owner}"))
            if not entries:
                return True
            self._take(
                [
                    f"{owner}/{entry['name']}"
                    for entry in entries
                    if isinstance(entry.get("name"), str)
                ]
            )
        return False

    async def _api(self, call: str, what: str) -> object:
        url = gitea.api_url(self._registry.url, call)
        login = self._site.credentials.header if self._site.credentials else None
        return await self._asker.fetch_json(self._site, self._request(url).with_login(login), what)

    def _request(self, url: URL) -> Request:
        return Request(
            "GET", url, _MAX_BODY, ca_cert=self._site.ca_cert, vouched=self._site.is_vouched
        )

    def _take(self, paths: Sequence[str]) -> bool:
        """Keep what is new, and no more than shows that there is more than is wanted; whether anything was."""
        before = len(self._paths)
        for path in paths:
            if len(self._paths) > self._limit:
                break
            self._paths[path.lower() if gitea.is_gitea(self._site) else path] = None
        self._pages += 1
        return len(self._paths) > before

    def _is_enough(self) -> bool:
        return len(self._paths) >= self._limit or self._pages >= MAX_PAGES

    def _names(self) -> Collection[ImageName]:
        host = self._registry.host.partition("/")[0]
        names = []
        for path in list(self._paths)[: self._limit]:
            try:
                names.append(parse_image_name(f"{host}/{path}"))
            except InvalidImageRefError:
                continue
        return names


def _entries(listed: object) -> list[dict[str, object]]:
    return (
        [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    )


def _untold(site: Site, error: RegistryError) -> RegistryError:
    """The same error with what a person can do: many registries never tell, whatever the login."""
    return type(error)(
        f"{site.host} does not tell which images it has: type the image's name "
        f"(Docker Hub, GHCR and others never tell; elsewhere the login needs the right to see the catalogue). {error}"
    )
