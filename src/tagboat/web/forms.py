"""Forms: what a browser posts, and the errors that are shown next to its fields."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qs

from msgspec import Struct, field
from starlette.requests import Request

from tagboat.core.errors import (
    ConflictError,
    EngineError,
    FieldError,
    ForbiddenError,
    IdentityProviderError,
    IdentityRejectedError,
    InvalidValueError,
    NotFoundError,
    SignInError,
    StoreUnavailableError,
    TagboatError,
    TooManyAttemptsError,
)
from tagboat.core.generics import T

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 1 << 20
# As many as the check of the token reads: a page has a few dozen.
_MAX_FIELDS = 1000
# In this order: FieldError and its like are InvalidValueErrors, too.
_ERROR_STATUS: Mapping[type[TagboatError], HTTPStatus] = {
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    InvalidValueError: HTTPStatus.UNPROCESSABLE_ENTITY,
    SignInError: HTTPStatus.UNAUTHORIZED,
    TooManyAttemptsError: HTTPStatus.TOO_MANY_REQUESTS,
    StoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    EngineError: HTTPStatus.SERVICE_UNAVAILABLE,
    IdentityProviderError: HTTPStatus.SERVICE_UNAVAILABLE,
    IdentityRejectedError: HTTPStatus.FORBIDDEN,
}


class Form(Struct, frozen=True):
    """The fields that a browser posted, or an empty form. Values are as they were typed."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def text(self, name: str, default: str = "") -> str:
        """Return the first value of a field, without blanks around it."""
        return self.fields.get(name, (default,))[0].strip()

    def exact(self, name: str) -> str:
        """Return the first value of a field as it was typed, such as a password."""
        return self.fields.get(name, ("",))[0]

    def ticked(self, name: str) -> bool:
        """Return whether a box is ticked."""
        return bool(self.text(name))

    def number(self, name: str) -> int | None:
        """Return a whole number, None where the field is empty; raise FieldError if it is none."""
        text = self.text(name)
        if not text:
            return None
        # Twenty digits are more than any field takes, and Python refuses to read thousands.
        # Not int() alone: it takes underscores and digits of all scripts.
        if not text.removeprefix("-").isdecimal() or len(text) > 20:  # noqa: PLR2004
            raise FieldError(name, "must be a whole number")
        return int(text)


class RefusedFieldsError(InvalidValueError):
    """Values of a form that cannot be used; `fields` has the reason of each, by name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(f"{len(fields)} values cannot be used: {', '.join(fields)}")
        self.fields = fields


class FormErrors(Struct, frozen=True):
    """The errors of a form: by name of the field, and one sentence about the whole."""

    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    whole: str = ""
    status: HTTPStatus = HTTPStatus.OK


NO_ERRORS = FormErrors()
NO_FORM = Form()


def form_errors(error: TagboatError, field_of: Mapping[type[TagboatError], str]) -> FormErrors:
    """Return what to show for an error of an operation.

    A `FieldError` names its field; `field_of` says at which field other errors are shown, by their
    class. All others are about the whole form.
    """
    status = status_of(error)
    if isinstance(error, RefusedFieldsError):
        return FormErrors(error.fields, status=status)
    if isinstance(error, FieldError):
        return FormErrors({error.field: str(error)}, status=status)
    for type_, name in field_of.items():
        if isinstance(error, type_):
            return FormErrors({name: str(error)}, status=status)
    return FormErrors(whole=str(error), status=status)


def parsed(field_name: str, parse: Callable[[str], T], text: str) -> T:
    """Return what `parse` makes of a field's text; raise FieldError where that is invalid."""
    try:
        return parse(text)
    except FieldError:
        raise
    except InvalidValueError as error:
        raise FieldError(field_name, str(error)) from None


def status_of(error: TagboatError) -> HTTPStatus:
    """Return the status of a page that shows an error; 500 for errors not meant for callers."""
    return next(
        (status for type_, status in _ERROR_STATUS.items() if isinstance(error, type_)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )


async def read_form(request: Request) -> Form:
    """Read what a browser posts; raise InvalidValueError for anything but a form of 1 MiB."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Pages send no files, so that multipart needs no parser.
    if kind != FORM_TYPE:
        raise InvalidValueError("this address takes forms of a browser only")
    body = bytearray()
    # Counted here as well: who calls this need not have capped it.
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            raise InvalidValueError("the form is over 1 MiB")
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:  # not UTF-8, or too many fields
        raise InvalidValueError("the form cannot be read") from None
    # PostgreSQL has no NUL in texts, and nobody types one.
    clean = {name: tuple(one.replace("\0", "") for one in found) for name, found in fields.items()}
    return Form(MappingProxyType(clean))
