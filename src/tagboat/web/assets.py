"""Static files: addressed by their content, compressed once, and cached for ever by browsers."""

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

STATIC_PATH = "/static/"
# An address names one content for ever, so that nobody has to ask again (RFC 8246).
_FOREVER = "public, max-age=31536000, immutable"
# 48 bits: enough to tell versions apart; it protects nothing.
_HASH_LENGTH = 12
# Only these leave the folder, whatever else an editor may put there.
_TEXT = frozenset({".css", ".js", ".svg", ".txt"})


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent; `packed` is its gzip, None where that would gain nothing."""

    media_type: str
    content: bytes = field(repr=False)
    packed: bytes | None = field(repr=False)


class Assets:
    """The files of a folder, read at the first request and kept in memory.

    One hash over all files is part of each address, so that a file may name its neighbours.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, name: str) -> str:
        """Return the address of a file; raise KeyError where there is none of that name."""
        if name not in self._files:
            raise KeyError(f"there is no static file {name}")
        return f"{STATIC_PATH}{self._hash}/{name}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for a file; unknown names are 404.

        A page of an older version asks by the older hash: it gets the file of today, uncached.
        """
        # Looked up among the names that are known: no path of a caller reaches the disk.
        found = self._files.get(request.path_params["name"])
        if found is None:
            return Response(status_code=404)
        headers = {
            "Cache-Control": _FOREVER if request.path_params["hash"] == self._hash else "no-cache",
            # A cache in between must not give gzip to who cannot read it.
            "Vary": "Accept-Encoding",
        }
        if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(found.packed, headers=headers, media_type=found.media_type)
        return Response(found.content, headers=headers, media_type=found.media_type)

    @cached_property
    def _files(self) -> Mapping[str, StaticFile]:
        found = {}
        for path in sorted(self._folder.rglob("*")):
            if path.suffix in _TEXT:
                content = path.read_bytes()
                # Without the time of day in it, all servers send the same bytes.
                packed = gzip.compress(content, 9, mtime=0)
                kind = mimetypes.guess_type(path.name)[0] or "text/plain"
                found[path.relative_to(self._folder).as_posix()] = StaticFile(
                    kind, content, packed if len(packed) < len(content) else None
                )
        return found

    @cached_property
    def _hash(self) -> str:
        whole = hashlib.sha256()
        for name, file in self._files.items():
            # With its length, no two lists of files look alike.
            whole.update(f"{name}\0{len(file.content)}\0".encode() + file.content)
        return whole.hexdigest()[:_HASH_LENGTH]
