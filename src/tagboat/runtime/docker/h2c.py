"""One HTTP/2 request in the clear, with prior knowledge (RFC 9113, section 3.3).

Frames are read by hyperframe, fields by hpack.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from tagboat import __version__
from tagboat.core.endpoint import LOOPBACK
from tagboat.core.health import Manner
from tagboat.runtime.docker.http_answer import ProbeAnswer

if TYPE_CHECKING:
    from hyperframe.frame import Frame

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_LENGTH = 9
_STREAM = 1
_LONGEST_FRAME = 1 << 14
"""Bytes. The first value of SETTINGS_MAX_FRAME_SIZE (RFC 9113, section 6.5.2), which stays so."""
_LONGEST_FIELDS = 1 << 16
"""Bytes of the fields of an answer, in the frames of one head."""


class NoHttp2Error(ValueError):
    """The answer is not HTTP/2."""


async def ask_by_h2c(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, manner: Manner
) -> ProbeAnswer:
    """GET `target` (ASCII) on a new connection, and return the head of the answer.

    Raises NoHttp2Error, and OSError or EOFError where it hangs up without an answer.
    """
    # Few apps speak it, and most servers need none of this.
    import hpack  # noqa: PLC0415
    from hyperframe import exceptions, frame  # noqa: PLC0415

    fields = (
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", manner.host),
        (":path", target),
        ("user-agent", f"tagboat/{__version__}"),
        ("accept", "*/*"),
        # What a front adds: apps that force https look at X-Forwarded-Proto.
        ("x-forwarded-for", LOOPBACK),
        ("x-forwarded-host", manner.host),
        ("x-forwarded-proto", manner.proto),
    )
    asked = frame.HeadersFrame(_STREAM, data=hpack.Encoder().encode(fields))
    asked.flags |= {"END_STREAM", "END_HEADERS"}
    first = frame.SettingsFrame(settings={frame.SettingsFrame.ENABLE_PUSH: 0})
    writer.write(_PREFACE + first.serialize() + asked.serialize())
    decoder, block = hpack.Decoder(), b""
    try:
        async with aclosing(_frames(reader, writer)) as frames:
            async for found in frames:
                if not isinstance(found, frame.HeadersFrame | frame.ContinuationFrame):
                    continue
                block += found.data
                if len(block) > _LONGEST_FIELDS:
                    raise NoHttp2Error
                if "END_HEADERS" in found.flags:
                    said = [(str(name), str(value)) for name, value in decoder.decode(block)]
                    # Of several alike, the first counts.
                    answer, block = {name.lower(): value for name, value in said[::-1]}, b""
                    if not answer.get(":status", "").isdecimal():
                        raise NoHttp2Error
                    if (status := int(answer[":status"])) >= 200:  # noqa: PLR2004 - final ones
                        return ProbeAnswer(status, answer)
    except (exceptions.HyperframeError, hpack.HPACKError) as error:
        raise NoHttp2Error from error
    raise ConnectionResetError


async def _frames(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncGenerator["Frame", None]:
    """Yield what comes, and reply to what wants a reply, until the connection or request ends."""
    from hyperframe import frame  # noqa: PLC0415 - see above

    while True:
        head = memoryview(await reader.readexactly(_HEAD_LENGTH))
        found, length = frame.Frame.parse_frame_header(head)
        # Also an answer in HTTP/1 is one that is too long.
        if length > _LONGEST_FRAME:
            raise NoHttp2Error
        found.parse_body(memoryview(await reader.readexactly(length)))
        match found:
            case frame.SettingsFrame() if "ACK" not in found.flags:
                writer.write(frame.SettingsFrame(flags=["ACK"]).serialize())
            case frame.PingFrame() if "ACK" not in found.flags:
                writer.write(frame.PingFrame(0, found.opaque_data, flags=["ACK"]).serialize())
            # What a GOAWAY names is still answered (RFC 9113, section 6.8).
            case frame.GoAwayFrame() if found.error_code or found.last_stream_id < _STREAM:
                return
            case frame.RstStreamFrame(stream_id=1):
                return
            case _:
                yield found
