"""A listing of tags, gathered page by page, and the rules for when it is whole."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import urljoin

import msgspec
from yarl import URL

from tagboat.core.errors import InvalidImageRefError, RegistryProtocolError
from tagboat.core.image import parse_tag
from tagboat.registry.failures import as_utf8
from tagboat.registry.site import shown_host

MAX_TAGS = 20_000
MAX_PAGES = 5_000
MAX_BYTES = 16 * 1024 * 1024
"""Of all pages of one list."""

_LINK = re.compile(
    r'<([^>]*)>((?:[ \t]*;[ \t]*[^\s;,="]+(?:[ \t]*=[ \t]*(?:"[^"]*"|[^\s;,"]*))?)*)'
)
_REL = re.compile(r';[ \t]*rel[ \t]*=[ \t]*(?:"([^"]*)"|([^\s;,"]*))', re.IGNORECASE)
# Signatures, attestations and referrers that hang on a digest: no images to run.
_ATTACHMENT = re.compile(
    r"sha(?:256|384|512)[-:](?:[0-9a-f]{64}[0-9a-f]*(?:[.-].*)?|[0-9a-f]+\.(?:sig|att|sbom))",
    re.IGNORECASE,
)


class Listing:
    """The tags of one repository, in the registry's order, each once. `source` names the repository in errors."""

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
        """Whether the list ended with a page seen before, although a link led on: part of it may be missing."""

    @property
    def tags(self) -> list[str]:
        """What has been gathered, without attachments and without what is no tag."""
        return list(self._tags)

    @property
    def wider(self) -> int:
        """How many tags to ask for to see whether there are more than were gathered."""
        return 2 * len(self._seen) if self._widened else len(self._seen) + 1

    def spend(self, size: int) -> None:
        """Count the bytes of a page. Raises RegistryProtocolError once they are too many."""
        self._bytes += size
        if self._bytes > MAX_BYTES:
            raise RegistryProtocolError(
                f"the list of tags of {self._source} is longer than {MAX_BYTES // 1024**2} MiB"
            )

    def add(self, page: Sequence[str], following: URL | None) -> URL | None:
        """Take a page in and return where to go on, or None at the end: an empty page, no link, or a page seen before.

        The last leaves the list `in_doubt`. Raises RegistryProtocolError when there is no end to it, since part of a list
        is no list to choose from.
        """
        fresh = self._gather(page, following)
        self._followed += fresh
        if not page or following is None:
            return None
        if not fresh or following in self._links:
            self.in_doubt = True
            return None
        self._links.add(following)
        if len(self._links) >= MAX_PAGES:
            raise RegistryProtocolError(
                f"the list of tags of {self._source} has more than {MAX_PAGES} pages"
            )
        return following

    def widen(self, page: Sequence[str], following: URL | None) -> None:
        """Take in the answer to `wider`. The list is whole if that brought nothing new, or was less than asked for.

        Raises RegistryProtocolError if every page was the same, and this one is full as well.
        """
        may_be_cut = following is not None or len(page) >= self.wider
        self._widened = True
        if self._gather(page, following):
            self.in_doubt = may_be_cut
        else:
            self._settle(is_cut=self._page_is_full)

    def give_up_widening(self) -> None:
        """End the doubt when the registry refuses `wider`. Raises RegistryProtocolError like `widen`."""
        self._settle(is_cut=self._page_is_full or self._widened)

    def _settle(self, *, is_cut: bool) -> None:
        """Call the list whole if its pages went on before they repeated, or what came last is not cut to a page's size."""
        if is_cut and self._followed == 1:
            raise RegistryProtocolError(
                f"{self._source} cannot be listed: the registry answers every page with the same {len(self._seen)} tags and "
                "says that there are more; nothing is chosen from a part of them"
            )
        self.in_doubt = False

    def _gather(self, page: Sequence[str], following: URL | None) -> bool:
        """Take the tags of a page; whether any is new. `following` tells whether it was cut to the page's size."""
        self._expect_few(len(page))
        fresh = [tag for tag in page if tag not in self._seen]
        self._seen.update(fresh)
        for tag in fresh:
            self._take(tag.lower() if self._lower_case else tag)
        self._expect_few(len(self._seen))
        self._page_is_full = following is not None and following.query.get("n") == str(len(page))
        return bool(fresh)

    def _expect_few(self, count: int) -> None:
        if count > MAX_TAGS:
            raise RegistryProtocolError(
                f"{self._source} has more than {MAX_TAGS} tags, which is the most that is listed: delete old ones in the "
                "registry; until then new tags are heard of by webhook alone"
            )

    def _take(self, tag: str) -> None:
        if _ATTACHMENT.fullmatch(tag):
            return
        try:
            self._tags[parse_tag(tag)] = None
        except InvalidImageRefError:
            return


class _Page(msgspec.Struct):
    """What counts of a page; everything else in it is passed over unread. `name` as it is written."""

    name: msgspec.Raw = msgspec.Raw()
    tags: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    repositories: list[str] | msgspec.UnsetType | None = msgspec.UNSET


def parse_page(
    body: bytes, source: str, name: Literal["tags", "repositories"] = "tags"
) -> list[str]:
    """Read the list called `name` of an answer; raise RegistryProtocolError if it has none.

    An empty one may be null, and may be left out of an answer that names its repository.
    """
    try:
        page = msgspec.json.decode(as_utf8(body), type=_Page)
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
    if listed is msgspec.UNSET and not bytes(page.name).startswith(b'"'):
        raise RegistryProtocolError(f"{source} answered with JSON that is not a list of {name}")
    return listed or []


def next_page(links: Iterable[str], current: URL) -> URL | None:
    """Return the `rel="next"` target of the `Link` headers of the page at `current` (RFC 8288), None if there is none.

    Only path and query are taken from the link: it may be relative, may have lost its port or its angle brackets, and
    must not lead to another host than the one that was asked. Of a path with the same ending only the query is taken: behind
    a proxy, and from Artifactory, the rest is often not what was asked for. Raises RegistryProtocolError if it cannot be
    read: the list would end early.
    """
    for header in links:
        for target, rel in _targets(header, current):
            if "next" in rel.lower().split():
                return _resolve(target.strip(), current)
    return None


def _resolve(target: str, current: URL) -> URL:
    try:
        resolved = URL(urljoin(str(current), target))
    except ValueError:
        raise RegistryProtocolError(
            f"{shown_host(current)} links to a next page of tags that is not a URL"
        ) from None
    path = resolved.raw_path
    if path.rpartition("/")[2] == current.raw_path.rpartition("/")[2]:
        path = current.raw_path
    query = f"?{resolved.raw_query_string}" if resolved.raw_query_string else ""
    # The slash must stand: without it, a path such as `.evil.com` or `0` would become part of the host or the port.
    return URL(f"{str(current.origin()).rstrip('/')}/{path.removeprefix('/')}{query}", encoded=True)


def _targets(header: str, current: URL) -> list[tuple[str, str]]:
    """Each link's target and relation. One without brackets is taken whole, and as the next page if it does not say."""
    if "<" in header:
        return [
            (match[1], _relation(match[2], _default(match[1], current)))
            for match in _LINK.finditer(header)
        ]
    target, semicolon, rest = header.partition(";")
    return [(target, _relation(semicolon + rest, "next"))] if target.strip() else []


def _default(target: str, current: URL) -> str:
    """What a link is that does not say so, which RFC 8288 forbids: the next page, if it leads to a list like this one."""
    path = target.strip().partition("?")[0]
    return (
        "next" if not path or path.rpartition("/")[2] == current.raw_path.rpartition("/")[2] else ""
    )


def _relation(params: str, default: str) -> str:
    match = _REL.search(params)
    if not match:
        return default
    quoted: str | None = match[1]
    return quoted if quoted is not None else match[2]
