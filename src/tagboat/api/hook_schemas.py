"""The bodies of webhook URLs and signatures. Their secrets are accepted and never shown."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, Strict, model_validator

from tagboat.api import values
from tagboat.api.bodies import RequestModel, ResponseModel, unset
from tagboat.api.schemas import RefOut
from tagboat.core.project_webhook import Signature, SignatureKind
from tagboat.operations.validation import SHORTEST_SHARED_SECRET

_BEARER = "Bearer "


class SignatureUpdate(RequestModel):
    """The signature that calls must have. `header` belongs to the kind `header` alone."""

    kind: Annotated[SignatureKind, Strict(strict=False)]
    secret: values.SignatureSecret = Field(repr=False)
    header: values.HeaderName | None = None

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: object) -> dict[str, Any]:
        """Return both forms: no field alone says which fields go together."""
        kinds = [kind.value for kind in SignatureKind if kind is not SignatureKind.HEADER]
        return {
            "title": cls.__name__,
            "description": cls.__doc__,
            "oneOf": [
                _form({"enum": kinds}, values.NO_NUL, {"type": "null"}, ["kind", "secret"]),
                _form(
                    {"const": SignatureKind.HEADER.value},
                    values.HEADER_VALUE,
                    {
                        "type": "string",
                        "pattern": values.HEADER_NAME,
                        "minLength": 1,
                        "maxLength": 100,
                    },
                    ["kind", "secret", "header"],
                ),
            ],
        }

    @model_validator(mode="after")
    def _fits(self) -> "SignatureUpdate":
        if self.kind is not SignatureKind.HEADER:
            if self.header is not None:
                raise ValueError(
                    f"a signature of kind {self.kind} has its own header: leave `header` out"
                )
        elif self.header is None:
            raise ValueError(
                "a signature of kind header needs `header`, the name of the header "
                "that holds the secret"
            )
        elif not values.fits(values.HEADER_VALUE, self.secret):
            raise ValueError(
                "the secret of a header must be printable ASCII that begins and ends with no space"
            )
        return self

    def to_signature(self) -> Signature:
        """Return the core's value."""
        if self.header is None:
            return Signature(kind=self.kind, secret=self.secret)
        # Names of headers have no case (RFC 9110, section 5.1).
        # The word Bearer is not a part of the secret: people write it or leave it out.
        return Signature(
            kind=self.kind, secret=self.secret.removeprefix(_BEARER), header=self.header.lower()
        )


def _form(
    kind: dict[str, Any], secret: str, header: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "kind": {"type": "string", **kind},
            "secret": {
                "type": "string",
                "pattern": secret,
                "minLength": SHORTEST_SHARED_SECRET,
                "maxLength": 1024,
                "writeOnly": True,
            },
            "header": header,
        },
        "required": required,
        "additionalProperties": False,
    }


class SignatureOut(ResponseModel):
    """The signature that calls must have, without its secret."""

    kind: SignatureKind
    header: str | None


class GlobalSignatureOut(ResponseModel):
    """The signature that calls of the global URL must have, without its secret."""

    kind: SignatureKind | None
    header: str | None


class HookCreate(RequestModel):
    """A new webhook URL, for pushes of one project's image only."""

    name: values.Title
    signature: SignatureUpdate | None = None


class HookUpdate(RequestModel):
    """Changes to a webhook URL. With null as signature, none is required any more."""

    name: values.Title = unset()
    signature: SignatureUpdate | None = None


class HookOut(ResponseModel):
    """A webhook URL, without the secret in it."""

    id: str
    project: RefOut
    name: str
    signature: SignatureOut | None
    created_at: datetime


class CreatedHookOut(HookOut):
    """A new webhook URL. It is shown only this once."""

    url: str


def signature_shown(signature: Signature | None) -> SignatureOut | None:
    """Return a signature without its secret."""
    return SignatureOut(kind=signature.kind, header=signature.header or None) if signature else None


def signature_set(signature: Signature | None) -> GlobalSignatureOut:
    """Return the signature of the global URL without its secret; both fields null for none."""
    shown = signature_shown(signature)
    return (
        GlobalSignatureOut(kind=shown.kind, header=shown.header)
        if shown
        else GlobalSignatureOut(kind=None, header=None)
    )
