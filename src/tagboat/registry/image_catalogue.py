"""The images of a registry, so that a person can choose one instead of typing it."""

from collections.abc import Sequence
from urllib.parse import quote

from msgspec import Struct
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
from tagboat.registry.endpoint import RegistryEndpoint
from tagboat.registry.session import RegistrySession
from tagboat.registry.tag_listing import next_page, parse_page
from tagboat.registry.transport import RegistryRequest

MAX_IMAGES = 5_000
MAX_CATALOGUE_PAGES = 200
_MAX_CATALOGUE_PAGE = 1024 * 1024
_CATALOGUE_SCOPE = "registry:catalog:*"
_GITEA_PAGE = 50
_NO_CATALOGUE = (RegistryDeniedError, RegistryNotFoundError, RegistryProtocolError)


class ImageList(Struct, frozen=True):
    """The images of a registry, in order of name. `whole` is False if there may be more."""

    images: tuple[ImageName, ...]
    whole: bool


class ImageCatalogue:
    """Lists the images of one registry, `limit` at most."""

    def __init__(
        self,
        session: RegistrySession,
        endpoint: RegistryEndpoint,
        registry: Registry,
        limit: int = MAX_IMAGES,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._registry = registry
        self._limit = limit
        self._is_gitea = gitea.is_gitea(endpoint)
        self._paths: dict[str, None] = {}
        self._pages = 0

    async def read(self) -> ImageList:
        """Ask for the catalogue; without one, or if it is empty, for Gitea's packages.

        Raises RegistryError.
        """
        # The catalogue of a Gitea (1.18 and later) or Forgejo names each image once. Its package
        # API names each version of each image, children of indexes too, for one owner at a time.
        try:
            whole = await self._read_catalogue()
        except _NO_CATALOGUE as error:
            if not self._is_gitea:
                raise type(error)(
                    f"{self._endpoint.host} does not list its images: type the image's name (Docker"
                    " Hub, GHCR and others never list them; elsewhere the login needs the right to "
                    f"see the catalogue). {error}"
                ) from None
            whole = await self._read_packages()
        else:
            if not self._paths and self._is_gitea and self._endpoint.credentials:
                whole = await self._read_packages()
        host = self._registry.host.partition("/")[0]
        names: list[ImageName] = []
        for path in list(self._paths)[: self._limit]:
            try:
                names.append(parse_image_name(f"{host}/{path}"))
            except InvalidImageRefError:
                continue
        return ImageList(tuple(sorted(names)), whole and len(self._paths) <= self._limit)

    async def _read_catalogue(self) -> bool:
        """Read the catalogue, and return True if it ended before there was enough."""
        url: URL | None = self._endpoint.url("/v2/_catalog")
        links: set[URL] = set()
        while url is not None:
            links.add(url)
            response = await self._session.request(
                self._endpoint, _CATALOGUE_SCOPE, self._request(url), "a list of its images"
            )
            following = next_page(response.headers.getall("Link", []), url)
            is_new = self._add(parse_page(response.body, self._endpoint.host, "repositories"))
            url = following
            # Neither too many pages nor a repeated one is an error: to choose from, a part is
            # better than nothing.
            if url is not None and (not is_new or url in links or self._is_enough()):
                return False
        return True

    async def _read_packages(self) -> bool:
        """Read Gitea's packages, owner by owner: the user and the user's organisations."""
        if self._endpoint.credentials is None:
            raise RegistryDeniedError(
                f"{self._endpoint.host} lists its packages only to those who are signed in: enter "
                "a username and a token with the scope read:package for this registry, or type the "
                "image's name"
            )
        owner = self._registry.username
        if not owner:
            user = await self._call_api("user", "the name of the user")
            owner = str(user.get("login") or "") if isinstance(user, dict) else ""
        try:
            organisations = await self._call_api(
                "user/orgs?limit=50", "the organisations of the user"
            )
        except RegistryError:
            # A token for packages alone may not see them; the user's own images are better than
            # nothing.
            organisations = []
        owners = dict.fromkeys([owner])
        for entry in _objects_in(organisations):
            owners[str(entry.get("username") or entry.get("name") or "")] = None
        for name in owners:
            if name and not await self._read_packages_of(name):
                return False
        return True

    async def _read_packages_of(self, owner: str) -> bool:
        page = 0
        quoted = quote(owner, safe="")
        while not self._is_enough():
            page += 1
            call = f"packages/{quoted}?type=container&limit={_GITEA_PAGE}&page={page}"
            entries = _objects_in(await self._call_api(call, f"the packages of {owner}"))
            if not entries:
                return True
            names = [name for entry in entries if isinstance(name := entry.get("name"), str)]
            self._add([f"{owner}/{name}" for name in names])
        return False

    async def _call_api(self, call: str, what: str) -> object:
        # The API takes the password itself, not a token of the registry.
        url = gitea.api_url(self._registry.url, call)
        login = self._endpoint.credentials.header if self._endpoint.credentials else None
        request = self._request(url).with_login(login)
        return await self._session.fetch_json(self._endpoint, request, what)

    def _request(self, url: URL) -> RegistryRequest:
        return RegistryRequest(
            "GET",
            url,
            _MAX_CATALOGUE_PAGE,
            ca_cert=self._endpoint.ca_cert,
            vouched=self._endpoint.is_vouched,
        )

    def _add(self, paths: Sequence[str]) -> bool:
        """Add the paths of a page, and return True if any is new."""
        before = len(self._paths)
        for path in paths:
            # One more than the limit shows that the list is not whole.
            if len(self._paths) > self._limit:
                break
            self._paths[path.lower() if self._is_gitea else path] = None
        self._pages += 1
        return len(self._paths) > before

    def _is_enough(self) -> bool:
        return len(self._paths) >= self._limit or self._pages >= MAX_CATALOGUE_PAGES


def _objects_in(listed: object) -> list[dict[str, object]]:
    if not isinstance(listed, list):
        return []
    return [entry for entry in listed if isinstance(entry, dict)]
