from collections.abc import AsyncIterator, MutableMapping
from http import HTTPStatus
from typing import Any

import pytest
from starlette.requests import Request

from tagboat.core.errors import (
    ConflictError,
    EngineUnavailableError,
    FieldError,
    ForbiddenError,
    InvalidTagPatternError,
    InvalidValueError,
    NotFoundError,
    RegistryError,
    StoreUnavailableError,
    TagboatError,
)
from tagboat.web.forms import MAX_FORM_BYTES, Form, form_errors, read_form, status_of

pytestmark = pytest.mark.anyio
FORM = "application/x-www-form-urlencoded"


def sending(body: bytes, kind: str = FORM) -> Request:
    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body) + 1, 1000):
            yield body[start : start + 1000]

    there = parts()

    async def receive() -> MutableMapping[str, Any]:
        part = await anext(there, None)
        more = part is not None
        return {"type": "http.request", "body": part or b"", "more_body": more}

    headers = [(b"content-type", kind.encode())] if kind else []
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_fields_are_read_as_they_were_typed() -> None:
    form = await read_form(
        sending(b"name=+shop+&tag=v1%2B2&empty=&on=a&on=b&u=%C3%BC&nul=a%00b", f"{FORM}; charset=x")
    )

    assert (form.text("name"), form.text("tag"), form.text("u")) == ("shop", "v1+2", "ü")
    assert (form.text("empty"), form.text("none"), form.text("none", "d")) == ("", "", "d")
    assert form.fields["on"] == ("a", "b")
    assert (form.ticked("on"), form.ticked("empty"), form.ticked("none")) == (True, False, False)
    assert form.text("nul") == "ab"


@pytest.mark.parametrize("kind", ["", "application/json", "text/plain", "multipart/form-data"])
async def test_nothing_but_a_form_is_read(kind: str) -> None:
    with pytest.raises(InvalidValueError, match="forms of a browser"):
        await read_form(sending(b"{}", kind))


@pytest.mark.parametrize("body", [b"a=%ff", b"\xff=1", b"a&" * 1001])
async def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidValueError, match="cannot be read"):
        await read_form(sending(body))


async def test_a_huge_form_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="over 1 MiB"):
        await read_form(sending(b"a" * (MAX_FORM_BYTES + 1)))


@pytest.mark.parametrize(("text", "number"), [("", None), ("7", 7), (" -3 ", -3)])
def test_a_number(text: str, number: int | None) -> None:
    assert Form({"port": (text,)}).number("port") == number


@pytest.mark.parametrize("text", ["x", "1.5", "1e3", "--1", "9" * 5000, "\u00b2"])
def test_another_text_names_its_field(text: str) -> None:
    with pytest.raises(FieldError, match="whole number") as raised:
        Form({"port": (text,)}).number("port")
    assert raised.value.field == "port"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FieldError("a", "b"), HTTPStatus.UNPROCESSABLE_ENTITY),
        (InvalidTagPatternError("a"), HTTPStatus.UNPROCESSABLE_ENTITY),
        (ConflictError("a"), HTTPStatus.CONFLICT),
        (ForbiddenError("a"), HTTPStatus.FORBIDDEN),
        (NotFoundError("a"), HTTPStatus.NOT_FOUND),
        (StoreUnavailableError("a"), HTTPStatus.SERVICE_UNAVAILABLE),
        (EngineUnavailableError("a"), HTTPStatus.SERVICE_UNAVAILABLE),
        (RegistryError("a"), HTTPStatus.INTERNAL_SERVER_ERROR),
    ],
)
def test_each_error_has_its_status(error: TagboatError, status: HTTPStatus) -> None:
    assert status_of(error) is status


def test_an_error_stands_at_its_field_else_at_the_top() -> None:
    at: dict[type[TagboatError], str] = {InvalidTagPatternError: "pattern"}

    assert form_errors(FieldError("port", "is taken"), at).fields == {"port": "is taken"}
    assert form_errors(InvalidTagPatternError("is empty"), at).fields == {"pattern": "is empty"}
    whole = form_errors(ConflictError("there is one already"), at)
    assert (dict(whole.fields), whole.whole) == ({}, "there is one already")
    assert whole.status is HTTPStatus.CONFLICT
