"""Static files: addressed by their content, compressed once, and cached for ever by browsers."""

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

STATIC_PATH = "/static/"
_FOREVER = "public, max-age=31536000, immutable"
_HASH_LENGTH = 12
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
        found = self._files.get(request.path_params["name"])
        if found is None:
            return Response(status_code=404)
        headers = {
            "Cache-Control": _FOREVER if request.path_params["hash"] == self._hash else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(found.packed, headers=headers, media_type=found.media_type)
        return Response(found.content, headers=headers, media_type=found.media_type)

    @cached_property
    def _files(self) -> Mapping[str, StaticFile]:
        return dict(self._read())

    @cached_property
    def _hash(self) -> str:
        whole = hashlib.sha256()
        for name, file in self._files.items():
            whole.update(f"{name}\0{len(file.content)}\0".encode() + file.content)
        return whole.hexdigest()[:_HASH_LENGTH]

    def _read(self) -> Iterator[tuple[str, StaticFile]]:
        for path in sorted(self._folder.rglob("*")):
            if path.suffix in _TEXT:
                content = path.read_bytes()
                # Without the time of day in it, all servers send the same bytes.
                packed = gzip.compress(content, 9, mtime=0)
                kind = mimetypes.guess_type(path.name)[0] or "text/plain"
                yield (
                    path.relative_to(self._folder).as_posix(),
                    StaticFile(kind, content, packed if len(packed) < len(content) else None),
                )
