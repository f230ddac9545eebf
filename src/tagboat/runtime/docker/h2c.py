"""One HTTP/2 request in the clear, with prior knowledge (RFC 9113, 7541).

Just enough to hear a status. Pure.
"""

from collections.abc import Iterable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0x1, 0x3, 0x4, 0x6, 0x7
_ACK, _END, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEAD_LENGTH = 9
# The initial value of SETTINGS_MAX_FRAME_SIZE (RFC 9113, section 6.5.2), which we do not raise.
LONGEST_FRAME = 1 << 14
# Of HPACK's static table: fields whose value it knows, and names.
_GET, _HTTP, _AUTHORITY, _PATH, _STATUS = 0x82, 0x86, 1, 4, 8
# RFC 7541, appendix A.
_STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
_LONGEST_INTEGER = 4
# The digits in the Huffman code of RFC 7541, appendix B; a status has no other characters.
_DIGITS = {
    format(code, "05b"): str(digit) for digit, code in enumerate((0b00000, 0b00001, 0b00010))
} | {format(0b011001 + number, "06b"): str(number + 3) for number in range(7)}


class NoHttp2Error(ValueError):
    """The answer is not HTTP/2."""


def h2c_request(path: str, host: str, fields: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the beginning of a connection with a GET of `path` (ASCII) in it."""
    # All literals are without indexing (RFC 7541, section 6.2.2): neither side keeps a table.
    block = bytes((_GET, _HTTP)) + _literal(_AUTHORITY, host) + _literal(_PATH, path)
    block += b"".join(
        b"\x00" + _string_literal(name) + _string_literal(value) for name, value in fields
    )
    return _PREFACE + _frame(_SETTINGS, 0, 0) + _frame(_HEADERS, _END | _END_HEADERS, 1, block)


def payload_length(head: bytes) -> int:
    """Return how many bytes follow the `HEAD_LENGTH` bytes of a frame's head.

    Raises NoHttp2Error for more than anybody may send.
    """
    length = int.from_bytes(head[:3])
    if length > LONGEST_FRAME:
        raise NoHttp2Error
    return length


def heard(head: bytes, payload: bytes) -> tuple[int | None, bytes]:
    """Return what a frame says: the status, None where it is no answer yet; and what to send back.

    Raises NoHttp2Error.
    """
    # The first bit of a stream's number is reserved, and ignored (RFC 9113, section 4.1).
    kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9]) & 0x7FFFFFFF
    if kind == _SETTINGS and not flags & _ACK:
        return None, _frame(_SETTINGS, _ACK, 0)
    # An acknowledgement repeats the data of the ping (RFC 9113, section 6.7).
    if kind == _PING and not flags & _ACK:
        return None, _frame(_PING, _ACK, 0, payload)
    if kind == _GOAWAY or (kind == _RST_STREAM and stream == 1):
        raise ConnectionResetError
    if kind != _HEADERS or stream != 1:
        return None, b""
    # The length of the padding and the priority come before the fields (RFC 9113, section 6.2).
    status = _status_in(payload[bool(flags & _PADDED) + 5 * bool(flags & _PRIORITY) :])
    return (status if status >= 200 else None), b""  # noqa: PLR2004 - below it are interim answers


def _status_in(block: bytes) -> int:
    """Return the status, which comes first. Raises NoHttp2Error."""
    at = 0
    # The dynamic table's new size, which nothing here needs.
    while at < len(block) and block[at] & 0xE0 == 0x20:  # noqa: PLR2004
        _, at = _integer(block, at, 5)
    # A field of the table with its value (RFC 7541, section 6.1), else a name with a value (6.2).
    if at < len(block) and block[at] & 0x80:
        index, _ = _integer(block, at, 7)
        if index in _STATUSES:
            return _STATUSES[index]
    elif at < len(block):
        index, at = _integer(block, at, 6 if block[at] & 0x40 else 4)
        if index == _STATUS and at < len(block):
            length, begin = _integer(block, at, 7)
            raw = block[begin : begin + length]
            text = raw.decode("latin-1")
            if block[at] & 0x80:
                # HPACK's Huffman code; what follows the last digit only fills up its byte.
                code = text = ""
                for bit in "".join(format(byte, "08b") for byte in raw):
                    code += bit
                    if code in _DIGITS:
                        code, text = "", text + _DIGITS[code]
            if len(text) == 3 and text.isdigit():  # noqa: PLR2004 - digits of a status
                return int(text)
    raise NoHttp2Error


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return the number whose first byte has `bits` bits of it, and where it ends.

    Raises NoHttp2Error.
    """
    # RFC 7541, section 5.1. The limit on its length keeps the sum small, whoever sends it.
    value, at = block[at] & ((1 << bits) - 1), at + 1
    if value < (1 << bits) - 1:
        return value, at
    for shift in range(0, 7 * _LONGEST_INTEGER, 7):
        if at >= len(block):
            break
        value, at = value + ((block[at] & 0x7F) << shift), at + 1
        if not block[at - 1] & 0x80:
            return value, at
    raise NoHttp2Error


def _literal(name: int, value: str) -> bytes:
    return bytes((name,)) + _string_literal(value)


def _string_literal(text: str) -> bytes:
    raw = text.encode("latin-1", "replace")
    limit = 0x7F
    if len(raw) < limit:
        return bytes((len(raw),)) + raw
    length, rest = bytes((limit,)), len(raw) - limit
    while rest > limit:
        length, rest = length + bytes((rest & 0x7F | 0x80,)), rest >> 7
    return length + bytes((rest,)) + raw


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload
