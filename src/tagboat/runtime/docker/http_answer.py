"""Reading an HTTP/1 answer as far as a probe needs it.

Status, headers, and the beginning of the body.
"""

import asyncio
import re
from collections.abc import Mapping

from msgspec import Struct

from tagboat.runtime.docker.loglines import first_line

# Limits, because an app may send anything, and without end.
LONGEST_LINE = 64 * 1024
_MOST_HEADERS = 200
_MOST_BODY = 2048
_MOST_DIGITS = 16
_BODY_S = 1.0
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})\b")
_CHUNK_BYTES = re.compile(rb"[0-9a-fA-F]{1,8}")


class ProbeAnswer(Struct, frozen=True):
    """The head of an answer; header names are in lower case, of several alike the first counts.

    A 2xx comes without them.
    """

    status: int
    headers: Mapping[str, str]


async def read_head(reader: asyncio.StreamReader) -> ProbeAnswer:
    """Read the answer's head, past interim ones (1xx).

    Raises ValueError for what is no HTTP answer, ConnectionResetError.
    """
    while True:
        line = await reader.readline()
        if not line:
            raise ConnectionResetError
        match = _STATUS_LINE.match(line)
        if not match:
            raise ValueError(line)
        status = int(match[1])
        if 200 <= status < 300:  # noqa: PLR2004 - the classes of HTTP
            # Its headers and body, and how slowly they come, do not matter.
            return ProbeAnswer(status, {})
        headers: dict[str, str] = {}
        # Up to the empty line, or the end: an app that sends no more than its status has said
        # enough.
        while line := (await reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
            if len(headers) > _MOST_HEADERS:
                raise ValueError("headers without end")
        if status >= 300:  # noqa: PLR2004 - as above
            return ProbeAnswer(status, headers)


async def read_said(reader: asyncio.StreamReader, head: ProbeAnswer) -> str:
    """Return the first line of text in the body, fit to be part of a sentence.

    Empty where none comes soon.
    """
    if head.headers.get("content-encoding", "identity") != "identity":
        return ""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            if "chunked" in head.headers.get("transfer-encoding", "").lower():
                await _read_chunks(reader, body)
            else:
                said = head.headers.get("content-length", "")
                sane = said.isascii() and said.isdigit() and len(said) < _MOST_DIGITS
                length = min(int(said), _MOST_BODY) if sane else _MOST_BODY
                while len(body) < length and (part := await reader.read(_MOST_BODY)):
                    body += part
    except (TimeoutError, OSError, ValueError):
        pass  # what has come until then may do
    text = body[:_MOST_BODY].decode(errors="replace")
    if not text.lstrip().startswith("<"):
        return first_line(text)
    # Loaded when there is a page to be read: the names of all its signs are large, and few apps
    # ever fail with a page.
    from tagboat.runtime.docker.page import words_of  # noqa: PLC0415

    return first_line(words_of(text))


async def _read_chunks(reader: asyncio.StreamReader, body: bytearray) -> None:
    while len(body) < _MOST_BODY:
        size = _CHUNK_BYTES.match(await reader.readline())
        left = int(size[0], 16) if size else 0
        if not left:
            return
        while (
            left and len(body) < _MOST_BODY and (part := await reader.read(min(left, _MOST_BODY)))
        ):
            body += part
            left -= len(part)
        # Each chunk ends with a line break of its own (RFC 9112, section 7.1).
        await reader.readline()
