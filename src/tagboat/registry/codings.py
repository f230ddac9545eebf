"""Content codings of responses (RFC 9110, section 8.4.1): never requested, but sometimes sent."""

import zlib
from collections.abc import Callable

from tagboat.core.errors import RegistryProtocolError

Unpack = Callable[[bytes, int], bytes]
"""Takes a part of a body, and returns at most that many bytes of its content."""

_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_UNSUPPORTED = frozenset({"br", "compress", "x-compress", "zstd", "dcb", "dcz"})


def unpacker(coding: str, host: str) -> Unpack:
    """Return the decoder for a `Content-Encoding`; an unknown value changes nothing.

    Raises RegistryProtocolError, naming `host`, for a coding that is not supported, and in
    decoding.
    """
    name = coding.strip().lower()
    if name in {"gzip", "x-gzip", "deflate"}:
        return _Inflater(name, host)
    if name in _UNSUPPORTED:
        raise RegistryProtocolError(
            f"{host} packs its answers as {name} (Content-Encoding), which was not asked for: "
            "have the registry, or the proxy in front of it, send them as they are"
        )
    return lambda chunk, _: chunk


class _Inflater:
    def __init__(self, name: str, host: str) -> None:
        self._name = name
        self._host = host
        self._stream: zlib._Decompress | None = None

    def __call__(self, chunk: bytes, at_most: int) -> bytes:
        if self._stream is None:
            # By the RFC deflate has a zlib header, and from some senders it has none.
            headless = self._name == "deflate" and chunk[0] & 0x0F != zlib.DEFLATED
            self._stream = zlib.decompressobj(
                _RAW if headless else _ZLIB if self._name == "deflate" else _GZIP
            )
        try:
            return self._stream.decompress(chunk, at_most)
        except zlib.error:
            raise RegistryProtocolError(
                f"{self._host} says that its answer is {self._name}, and it is not"
            ) from None
