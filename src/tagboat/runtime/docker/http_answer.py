"""Reading an HTTP/1 answer as far as a probe needs it.

Status, headers, and the beginning of the body.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tagboat.runtime.docker.loglines import first_line

LONGEST_LINE = 64 * 1024
_MOST_HEADERS = 200
_MOST_BODY = 2048
_MOST_DIGITS = 16
_BODY_S = 1.0
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})\b")
_CHUNK_BYTES = re.compile(rb"[0-9a-fA-F]{1,8}")


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
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
        status = await _read_status(reader)
        if 200 <= status < 300:  # noqa: PLR2004 - the classes of HTTP
            return ProbeAnswer(
                status, {}
            )  # what more it has to say, and how slowly, is of no interest
        headers = await _read_headers(reader)
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
                await _read_plain(reader, body, _length(head.headers))
    except (TimeoutError, OSError, ValueError):
        pass  # what has come until then may do
    return _body_text(body[:_MOST_BODY].decode(errors="replace"))


async def _read_status(reader: asyncio.StreamReader) -> int:
    line = await reader.readline()
    if not line:
        raise ConnectionResetError
    match = _STATUS_LINE.match(line)
    if not match:
        raise ValueError(line)
    return int(match[1])


async def _read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """Up to the empty line, or the end.

    An app that says no more than its status has said enough.
    """
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
        if len(headers) > _MOST_HEADERS:
            raise ValueError("headers without end")
    return headers


async def _read_plain(reader: asyncio.StreamReader, body: bytearray, length: int) -> None:
    while len(body) < min(length, _MOST_BODY) and (part := await reader.read(_MOST_BODY)):
        body += part


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
        await reader.readline()


def _length(headers: Mapping[str, str]) -> int:
    said = headers.get("content-length", "")
    sane = said.isascii() and said.isdigit() and len(said) < _MOST_DIGITS
    return int(said) if sane else _MOST_BODY


def _body_text(body: str) -> str:
    if not body.lstrip().startswith("<"):
        return first_line(body)
    # Loaded when there is a page to be read: the names of all its signs are large, and few apps
    # ever fail with a page.
    from tagboat.runtime.docker.page import words_of  # noqa: PLC0415

    return first_line(words_of(body))
