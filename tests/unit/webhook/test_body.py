"""Reading bodies: sizes, forms, and everything that is not a JSON object."""

import gzip
import json
import tracemalloc
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagboat.core.errors import InvalidValueError
from tagboat.webhook.body import (
    MAX_CALL_BYTES,
    BodyTooLargeError,
    HungUpError,
    Receive,
    UnknownCodingError,
    decode_body,
    read_body,
    unpack,
)

FORM = {"content-type": "application/x-www-form-urlencoded"}


def stream(pieces: Iterable[bytes], *, hang_up: bool = False) -> Receive:
    """A `receive` that gives these pieces; more calls than that are an error, unless the caller
    hangs up after them.
    """
    parts = list(pieces)
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": hang_up or place < len(parts) - 1}
        for place, part in enumerate(parts)
    ]
    waiting = iter([*messages, {"type": "http.disconnect"}] if hang_up else messages)

    async def receive() -> MutableMapping[str, Any]:
        return next(waiting)

    return receive


@pytest.mark.anyio
@pytest.mark.parametrize(
    "pieces", [[b""], [b"whole"], [b"in ", b"", b"pieces"], [b"x" * MAX_CALL_BYTES], [b"x"] * 1000]
)
async def test_a_body_is_read_whole(pieces: list[bytes]) -> None:
    assert await read_body({}, stream(pieces)) == b"".join(pieces)


@pytest.mark.anyio
async def test_a_length_announced_as_too_large_is_refused_before_anything_is_read() -> None:
    with pytest.raises(BodyTooLargeError):
        await read_body({"content-length": str(MAX_CALL_BYTES + 1)}, stream([]))
    with pytest.raises(BodyTooLargeError):
        await read_body({"content-length": "9" * 5000}, stream([]))


@pytest.mark.anyio
async def test_a_stream_is_refused_at_the_first_byte_too_many() -> None:
    with pytest.raises(BodyTooLargeError):
        await read_body({}, stream([b"x" * MAX_CALL_BYTES, b"x"], hang_up=True))


@pytest.mark.anyio
@pytest.mark.parametrize("announced", ["", "-1", "many", "\xb2", "10"])
async def test_an_announced_length_is_no_promise(announced: str) -> None:
    assert await read_body({"content-length": announced}, stream([b"body"])) == b"body"


@pytest.mark.anyio
async def test_a_caller_who_hangs_up() -> None:
    with pytest.raises(HungUpError):
        await read_body({}, stream([b"half"], hang_up=True))


@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "text/plain"}, FORM, {"content-type": "application/json"}]
)
def test_json_is_read_whatever_its_content_type(headers: dict[str, str]) -> None:
    assert decode_body(headers, b' \n{"image": "a:b"}') == {"image": "a:b"}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decode_body({}, b'\xef\xbb\xbf{"image": "a:b"}') == {"image": "a:b"}


@pytest.mark.parametrize(
    "media_type",
    ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"],
)
def test_a_forms_field_payload_is_read(media_type: str) -> None:
    body = urlencode({"other": "1", "payload": json.dumps({"image": "ä+b %&="})}).encode()
    assert decode_body({"content-type": media_type}, body) == {"image": "ä+b %&="}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"other=1", "payload"),
        (b"payload=", "payload"),
        (b"", "payload"),
        (b"payload=" + quote("1").encode(), "a number"),
        (b"payload=%7B", "not JSON"),
        (b"payload=%FF", "not a form"),
        (b"payload=\xff", "not a form"),
        (b"&".join([b"a=1"] * 30), "not a form"),
    ],
)
def test_forms_that_cannot_be_used(body: bytes, word: str) -> None:
    with pytest.raises(InvalidValueError, match=word):
        decode_body(FORM, body)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "not JSON: it is empty"),
        (b" \n", "not JSON: it is empty"),
        (b"image=a:b", "not JSON"),
        (b'{"image": "a:b"', "not JSON"),
        (b'{"image": "a:b"} trailing', "not JSON"),
        (b"{'image': 'a:b'}", "not JSON"),
        (b'{"image": NaN}', "not JSON"),
        (b'{"image": Infinity}', "not JSON"),
        (b'{"image": "a\x00b"}', "not JSON"),
        (b'\x00{"image": "a:b"}', "not JSON"),
        (b'{"image": "\xff\xfe"}', "not JSON"),
        (b'{"image": "\xed\xa0\x80"}', "not JSON"),
        ('{"image": "a:b"}'.encode("utf-16"), "not JSON"),
        (b'"image"', "a string"),
        (b"null", "null"),
        (b"true", "a boolean"),
        (b"7", "a number"),
        (b"7.5", "a number"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
        (b'{"a":' * 100_000, "nested too deeply|not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_refused_in_words(body: bytes, word: str) -> None:
    with pytest.raises(InvalidValueError, match=word) as raised:
        decode_body({}, body)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("odd", [b'"\\ud800"', b"1e999", b"-1e999", b"9" * 5000, b'{"\\udfff": 1}'])
def test_a_field_that_nobody_reads_does_not_cost_the_push(odd: bytes) -> None:
    body = decode_body({}, b'{"image": "a:b", "other": ' + odd + b"}")
    assert isinstance(body, dict)
    assert body["image"] == "a:b"


def test_an_array_is_read_for_the_formats_to_judge() -> None:
    assert decode_body({}, b'[{"eventType": "x"}]') == [{"eventType": "x"}]
    assert decode_body(FORM, b"[]") == []


# Gzip.


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", " GZIP "])
def test_gzip_is_unpacked(coding: str) -> None:
    headers = {"content-encoding": coding}
    assert unpack(headers, gzip.compress(b"body")) == b"body"
    assert unpack(headers, gzip.compress(b"in ") + gzip.compress(b"members")) == b"in members"
    assert unpack(headers, gzip.compress(b"x" * MAX_CALL_BYTES)) == b"x" * MAX_CALL_BYTES


@pytest.mark.parametrize(
    "headers", [{}, {"content-encoding": ""}, {"content-encoding": "Identity"}]
)
def test_without_a_coding_a_body_is_as_it_is(headers: dict[str, str]) -> None:
    assert unpack(headers, b"body") == b"body"


def test_no_more_than_the_limit_is_ever_unpacked() -> None:
    bomb = gzip.compress(b"\0" * (300 * MAX_CALL_BYTES))
    assert len(bomb) < MAX_CALL_BYTES
    tracemalloc.start()
    try:
        for packed in (
            bomb,
            gzip.compress(b"x" * (MAX_CALL_BYTES + 1)),
            gzip.compress(b"x") * 2 + bomb,
        ):
            with pytest.raises(BodyTooLargeError):
                unpack({"content-encoding": "gzip"}, packed)
        assert tracemalloc.get_traced_memory()[1] < 16 * MAX_CALL_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("packed", "word"),
    [
        (b'{"image": "a:b"}', "not gzip"),
        (gzip.compress(b"body", mtime=0)[:-1], "cut short"),
        (gzip.compress(b"body", mtime=0)[:4], "cut short"),
        (b"", "cut short"),
        (gzip.compress(b"body", mtime=0) + b"more", "not gzip"),
        (gzip.compress(b"", mtime=0) * 50_000, "more than 64 members"),
        (gzip.compress(b"body", mtime=0)[:-8] + b"\0" * 8, "not gzip"),
    ],
)
def test_what_is_no_gzip_is_refused_in_words(packed: bytes, word: str) -> None:
    with pytest.raises(InvalidValueError, match=word):
        unpack({"content-encoding": "gzip"}, packed)


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "x" * 5000])
def test_every_other_coding_is_named(coding: str) -> None:
    with pytest.raises(UnknownCodingError, match=f"Content-Encoding '{coding[:80]}") as raised:
        unpack({"content-encoding": coding}, b"body")
    assert len(str(raised.value)) < 300


@given(st.binary())
def test_any_bytes_are_an_object_an_array_or_refused(body: bytes) -> None:
    for headers in ({}, FORM):
        try:
            value: object = decode_body(headers, body)
        except InvalidValueError:
            continue
        assert isinstance(value, dict | list)
