import zlib

import pytest

from tagboat.core.errors import RegistryProtocolError
from tagboat.registry.codings import unpacker

TEXT = b'{"tags": ["v1"]}' * 100


def packed(wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(TEXT) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("gzip", packed(31)),
        ("x-gzip", packed(31)),
        (" GZIP ", packed(31)),
        ("deflate", packed(15)),
        ("deflate", packed(-15)),
        ("identity", TEXT),
        ("", TEXT),
        ("utf-8", TEXT),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_is_understood(coding: str, sent: bytes, size: int) -> None:
    unpack = unpacker(coding, "r.example")
    assert (
        b"".join(unpack(sent[at : at + size], 10_000) for at in range(0, len(sent), size)) == TEXT
    )


def test_no_more_than_wanted_is_unpacked() -> None:
    assert len(unpacker("gzip", "r.example")(packed(31), 10)) == 10


@pytest.mark.parametrize("coding", ["br", "zstd", "compress"])
def test_what_is_not_is_named(coding: str) -> None:
    with pytest.raises(RegistryProtocolError, match=rf"r\.example packs its answers as {coding}"):
        unpacker(coding, "r.example")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_not_what_it_says(coding: str) -> None:
    with pytest.raises(
        RegistryProtocolError, match=f"says that its answer is {coding}, and it is not"
    ):
        unpacker(coding, "r.example")(b"<html>", 10)
