"""Content codings of answers (RFC 9110, section 8.4.1). None is ever asked for; some send one all the same."""

import zlib
from collections.abc import Callable

from tagboat.core.errors import RegistryProtocolError

Unpack = Callable[[bytes, int], bytes]
"""Takes a part of a body, and returns so many bytes of what it unpacks to, at most."""

_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_OTHERS = frozenset({"br", "compress", "x-compress", "zstd", "dcb", "dcz"})


def unpacker(coding: str, host: str) -> Unpack:
    """The way to unpack a body whose `Content-Encoding` is `coding`; what is no coding, but stands there, changes nothing.

    Raises RegistryProtocolError, naming `host`, for a coding that is not understood, and in unpacking.
    """
    name = coding.strip().lower()
    if name in {"gzip", "x-gzip", "deflate"}:
        return _Inflater(name, host)
    if name in _OTHERS:
        raise RegistryProtocolError(
            f"{host} packs its answers as {name} (Content-Encoding), which was not asked for: have the registry, or the proxy "
            "in front of it, send them as they are"
        )
    return _as_it_is


def _as_it_is(chunk: bytes, _: int) -> bytes:
    return chunk


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
