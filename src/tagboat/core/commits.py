"""The commits between two images, by the labels that builds put on them.

The labels are those of the OCI image specification, "Annotations": `org.opencontainers.image.`
`revision` and `source`. Anybody can write anything into them.
"""

import re
from urllib.parse import quote, urlsplit

from msgspec import Struct

from tagboat.core.image import ImageInfo

REVISION_LABEL = "org.opencontainers.image.revision"
SOURCE_LABEL = "org.opencontainers.image.source"
_REVISION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]{0,127}", re.ASCII)
_SCP_FORM = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!/)([\w./~-]+)", re.ASCII)
_SOURCE_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?", re.ASCII)
_PATH_PARTS = 2


class Commits(Struct, frozen=True):
    """The revisions of two images, None where an image does not say; `source` is their repository.

    `compare_url` is the forge's page with the commits between them, None where that is not known.
    """

    before: str | None
    after: str | None
    source: str | None = None
    compare_url: str | None = None


def commits_between(before: ImageInfo | None, after: ImageInfo | None) -> Commits:
    """Return the revisions of two images, and where to compare them."""
    old, new = _label(before, REVISION_LABEL), _label(after, REVISION_LABEL)
    old, new = (one if one and _REVISION.fullmatch(one) else None for one in (old, new))
    source = repository_url(_label(after, SOURCE_LABEL) or "")
    other = repository_url(_label(before, SOURCE_LABEL) or "")
    # Without a source of its own, the older image is taken to be from the same repository.
    same = source is not None and other in {None, source}
    url = compare_url(source, old, new) if same and source and old and new and old != new else None
    return Commits(old, new, source, url)


def repository_url(source: str) -> str | None:
    """Return the page of a repository from a URL or `git@HOST:PATH`, None if it is neither."""
    text = source.strip()
    if scp := _SCP_FORM.fullmatch(text):
        text = f"https://{scp[1]}/{scp[2]}"
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    scheme = "https" if parts.scheme in {"https", "ssh", "git"} else parts.scheme
    # Without a login that may stand in it; and never a scheme that a browser would run.
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.strip("/").removesuffix(".git")
    if scheme not in {"http", "https"} or not _SOURCE_HOST.fullmatch(host) or path.count("/") < 1:
        return None
    if parts.scheme in {"ssh", "git"}:
        host = host.partition(":")[0]
    return f"{scheme}://{host.lower()}/{quote(path, safe='/~')}"


def compare_url(repository: str, before: str, after: str) -> str:
    """Return the forge's page that compares two revisions of a repository."""
    # GitHub, Gitea and Forgejo have the same form; GitLab's, whose groups nest, has `/-/`.
    parts = urlsplit(repository)
    nested = len(parts.path.strip("/").split("/")) > _PATH_PARTS
    infix = "/-" if nested or "gitlab" in parts.netloc else ""
    old, new = quote(before, safe=""), quote(after, safe="")
    if parts.netloc == "bitbucket.org":
        return f"{repository}/branches/compare/{new}%0D{old}"
    return f"{repository}{infix}/compare/{old}...{new}"


def _label(info: ImageInfo | None, name: str) -> str | None:
    return info.labels.get(name) if info else None
