"""One HTTP/2 request in the clear, with prior knowledge (RFC 9113, section 3.3), through h2."""

import asyncio

from tagboat import __version__
from tagboat.core.endpoint import LOOPBACK
from tagboat.core.health import Manner
from tagboat.runtime.docker.http_answer import ProbeAnswer

_READ_BYTES = 65536
_STREAM = 1
_LONGEST_FRAME = 1 << 14
"""Bytes. The first value of SETTINGS_MAX_FRAME_SIZE (RFC 9113, section 6.5.2), which stays so."""


class NoHttp2Error(ValueError):
    """The answer is not HTTP/2."""


async def ask_by_h2c(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, manner: Manner
) -> ProbeAnswer:
    """GET `target` (ASCII) on a new connection, and return the head of the answer.

    Raises NoHttp2Error, and ConnectionResetError where it hangs up without an answer.
    """
    # Few apps speak it, and the library takes 4 MB.
    from h2.config import H2Configuration  # noqa: PLC0415
    from h2.connection import H2Connection  # noqa: PLC0415
    from h2.events import ConnectionTerminated, ResponseReceived, StreamReset  # noqa: PLC0415
    from h2.exceptions import ProtocolError  # noqa: PLC0415

    # Whether the fields are well made is for others to judge: they are read as they come.
    connection = H2Connection(
        H2Configuration(header_encoding="latin-1", validate_inbound_headers=False)
    )
    connection.initiate_connection()
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
    connection.send_headers(_STREAM, fields, end_stream=True)
    begun = False
    while True:
        writer.write(connection.data_to_send())
        chunk = await reader.read(_READ_BYTES)
        if not chunk:
            raise ConnectionResetError
        # The library would wait for the end of a frame that is none, such as an answer in HTTP/1.
        if not begun and int.from_bytes(chunk[:3]) > _LONGEST_FRAME:
            raise NoHttp2Error
        begun = True
        try:
            events = connection.receive_data(chunk)
        except ProtocolError as error:
            raise NoHttp2Error from error
        for event in events:
            if isinstance(event, ResponseReceived):
                found: dict[str, str] = {}
                for name, value in event.headers:
                    found.setdefault(str(name).lower(), str(value))
                if not found.get(":status", "").isdecimal():
                    raise NoHttp2Error
                return ProbeAnswer(int(found[":status"]), found)
            if isinstance(event, StreamReset | ConnectionTerminated):
                raise ConnectionResetError
