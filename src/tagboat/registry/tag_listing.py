"""A list of tags, gathered page by page, and the rules for when it is complete."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import urljoin

import msgspec
from yarl import URL

from tagboat.core.errors import InvalidImageRefError, RegistryProtocolError
from tagboat.core.image import parse_tag
from tagboat.registry.endpoint import shown_host
from tagboat.registry.failures import as_utf8

MAX_TAGS = 20_000
MAX_TAG_PAGES = 5_000
MAX_LISTING_BYTES = 16 * 1024 * 1024
"""Size of all pages of one list."""

_LINK = re.compile(
    r'<([^>]*)>((?:[ \t]*;[ \t]*[^\s;,="]+(?:[ \t]*=[ \t]*(?:"[^"]*"|[^\s;,"]*))?)*)'
)
_REL = re.compile(r';[ \t]*rel[ \t]*=[ \t]*(?:"([^"]*)"|([^\s;,"]*))', re.IGNORECASE)
# Signatures, attestations and referrers of a digest: not images to run.
_DIGEST_ATTACHMENT = re.compile(
    r"sha(?:256|384|512)[-:](?:[0-9a-f]{64}[0-9a-f]*(?:[.-].*)?|[0-9a-f]+\.(?:sig|att|sbom))",
    re.IGNORECASE,
)


class TagListing:
    """The tags of one repository, in the registry's order, each once. `source` names it in errors.

    Some registries ignore where a page should start, or how long it should be. If a page repeats
    although there is a link, the list is `in_doubt`; the caller then asks for a page that is
    `wider` than everything known, until the doubt ends.
    """

    def __init__(self, source: str, *, lower_case: bool = False) -> None:
        self._source = source
        self._lower_case = lower_case
        self._seen: set[str] = set()
        self._links: set[URL] = set()
        self._tags: dict[str, None] = {}
        self._followed = 0
        self._bytes = 0
        self._widened = False
        self._page_is_full = False
        self.in_doubt = False
        """True if part of the list may be missing."""

    @property
    def tags(self) -> list[str]:
        """The tags gathered, without attachments and invalid entries."""
        return list(self._tags)

    @property
    def wider(self) -> int:
        """The number of tags to ask for to see whether there are more than were gathered."""
        return 2 * len(self._seen) if self._widened else len(self._seen) + 1

    def spend(self, size: int) -> None:
        """Count the bytes of a page. Raises RegistryProtocolError if they are too many."""
        self._bytes += size
        if self._bytes > MAX_LISTING_BYTES:
            raise RegistryProtocolError(
                f"the list of tags of {self._source} is longer than "
                f"{MAX_LISTING_BYTES // 1024**2} MiB"
            )

    def add(self, page: Sequence[str], following: URL | None) -> URL | None:
        """Add a page and return the next one, None at the end.

        The end is an empty page, a page without link, or one seen before; the latter leaves the
        list `in_doubt`. Raises RegistryProtocolError if there is no end, since nothing can be
        chosen from a part.
        """
        fresh = self._gather(page, following)
        self._followed += fresh
        if not page or following is None:
            return None
        if not fresh or following in self._links:
            self.in_doubt = True
            return None
        # A registry may send new tags for ever; its links come again, or run out of pages.
        self._links.add(following)
        if len(self._links) >= MAX_TAG_PAGES:
            raise RegistryProtocolError(
                f"the list of tags of {self._source} has more than {MAX_TAG_PAGES} pages"
            )
        return following

    def widen(self, page: Sequence[str], following: URL | None) -> None:
        """Add the response to `wider`.

        The list is complete if that brought nothing new, or less than was asked for. Raises
        RegistryProtocolError if all pages were equal, and this one is full as well.
        """
        may_be_cut = following is not None or len(page) >= self.wider
        self._widened = True
        if self._gather(page, following):
            self.in_doubt = may_be_cut
        else:
            self._end_doubt(is_cut=self._page_is_full)

    def give_up_widening(self) -> None:
        """End the doubt if the registry refuses `wider`. Raises RegistryProtocolError."""
        self._end_doubt(is_cut=self._page_is_full or self._widened)

    def _end_doubt(self, *, is_cut: bool) -> None:
        # Several different pages before the repeated one, or a short one, mean a complete list.
        if is_cut and self._followed == 1:
            raise RegistryProtocolError(
                f"{self._source} cannot be listed: the registry answers every page with the same "
                f"{len(self._seen)} tags and says that there are more; nothing is chosen from a "
                "part of them"
            )
        self.in_doubt = False

    def _gather(self, page: Sequence[str], following: URL | None) -> bool:
        """Add the tags of a page, and return True if any is new.

        `following` shows whether the page was cut to a page's size.
        """
        fresh = [tag for tag in page if tag not in self._seen]
        self._seen.update(fresh)
        if max(len(page), len(self._seen)) > MAX_TAGS:
            raise RegistryProtocolError(
                f"{self._source} has more than {MAX_TAGS} tags, which is the most that is listed: "
                "delete old ones in the registry; until then new tags are seen only by webhook"
            )
        for tag in fresh:
            if _DIGEST_ATTACHMENT.fullmatch(tag):
                continue
            try:
                self._tags[parse_tag(tag.lower() if self._lower_case else tag)] = None
            except InvalidImageRefError:
                continue
        # A page as long as the link asks for was cut by the registry.
        self._page_is_full = following is not None and following.query.get("n") == str(len(page))
        return bool(fresh)


class _ListPage(msgspec.Struct):
    """The fields of a page that count; others are skipped unread. `name` is raw JSON."""

    name: msgspec.Raw = msgspec.Raw()
    tags: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    repositories: list[str] | msgspec.UnsetType | None = msgspec.UNSET


def parse_page(
    body: bytes, source: str, name: Literal["tags", "repositories"] = "tags"
) -> list[str]:
    """Return the list called `name` of a response. Raises RegistryProtocolError without one.

    An empty list may be null, and may be missing in a response that names its repository.
    """
    try:
        page = msgspec.json.decode(as_utf8(body), type=_ListPage)
    except msgspec.ValidationError as error:
        what = (
            f"a list of {name} that are not all text"
            if f"$.{name}" in str(error)
            else f"JSON that is not a list of {name}"
        )
        raise RegistryProtocolError(f"{source} answered with {what}") from None
    except (ValueError, RecursionError):
        raise RegistryProtocolError(
            f"{source} answered something that is not JSON; is it a registry?"
        ) from None
    listed = page.tags if name == "tags" else page.repositories
    # Some registries omit `tags` of an empty repository; a web page's JSON has no `name`.
    if listed is msgspec.UNSET and not bytes(page.name).startswith(b'"'):
        raise RegistryProtocolError(f"{source} answered with JSON that is not a list of {name}")
    return listed or []


def next_page(links: Iterable[str], current: URL) -> URL | None:
    """Return the `rel="next"` target of the `Link` headers (RFC 8288) of `current`, None without.

    Raises RegistryProtocolError if it cannot be parsed: the list would end early.
    """
    for header in links:
        for target, rel in link_targets(header, current):
            # `rel` may hold several relations, separated by spaces.
            if "next" in rel.lower().split():
                return resolve_link(target.strip(), current)
    return None


def resolve_link(target: str, current: URL) -> URL:
    """Return the URL of a link on the host of `current`. Raises RegistryProtocolError."""
    try:
        resolved = URL(urljoin(str(current), target))
    except ValueError:
        raise RegistryProtocolError(
            f"{shown_host(current)} links to a next page of tags that is not a URL"
        ) from None
    path = resolved.raw_path
    # Behind a proxy, and from Artifactory, the rest of the path is often not what was asked for.
    if path.rpartition("/")[2] == current.raw_path.rpartition("/")[2]:
        path = current.raw_path
    query = f"?{resolved.raw_query_string}" if resolved.raw_query_string else ""
    # Only path and query count: the link may have lost its port, and must not lead to another host.
    # The slash must stand: without it, a path such as `.evil.com` or `0` would become part of the
    # host or the port.
    return URL(f"{str(current.origin()).rstrip('/')}/{path.removeprefix('/')}{query}", encoded=True)


def link_targets(header: str, current: URL) -> list[tuple[str, str]]:
    """Return target and relation of each link in a `Link` header."""
    if "<" not in header:
        # Some registries leave the angle brackets out.
        target, semicolon, rest = header.partition(";")
        return [(target, link_relation(semicolon + rest, "next"))] if target.strip() else []
    targets: list[tuple[str, str]] = []
    for match in _LINK.finditer(header):
        path = match[1].strip().partition("?")[0]
        # RFC 8288 requires `rel`. Without it, a link to a list like this one is the next page.
        is_list = not path or path.rpartition("/")[2] == current.raw_path.rpartition("/")[2]
        targets.append((match[1], link_relation(match[2], "next" if is_list else "")))
    return targets


def link_relation(params: str, default: str) -> str:
    """Return the value of `rel` among the parameters of a link."""
    match = _REL.search(params)
    if not match:
        return default
    quoted: str | None = match[1]
    return quoted if quoted is not None else match[2]
