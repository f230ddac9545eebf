"""Webhook URLs of projects and the signatures of calls, field by field. What proves somebody is taken in and never shown."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, Strict, model_validator

from tagboat.api import patterns, values
from tagboat.api.bodies import Answer, Asked, unset
from tagboat.api.schemas import Named
from tagboat.core.project_webhook import Signature, SignatureKind

_BEARER = "Bearer "


class SignatureAsked(Asked):
    """What calls must be signed with. `header` names the header that holds the secret itself, for the kind `header` alone."""

    kind: Annotated[SignatureKind, Strict(strict=False)]
    secret: values.SignatureSecret = Field(repr=False)
    header: values.HeaderName | None = None

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: object) -> dict[str, Any]:
        """The two forms there are; which fields go together is said by neither field alone."""
        kinds = [kind.value for kind in SignatureKind if kind is not SignatureKind.HEADER]
        return {
            "title": cls.__name__,
            "description": cls.__doc__,
            "oneOf": [
                _form({"enum": kinds}, patterns.NO_NUL, {"type": "null"}, ["kind", "secret"]),
                _form(
                    {"const": SignatureKind.HEADER.value},
                    patterns.HEADER_VALUE,
                    {
                        "type": "string",
                        "pattern": patterns.HEADER_NAME,
                        "minLength": 1,
                        "maxLength": 100,
                    },
                    ["kind", "secret", "header"],
                ),
            ],
        }

    @model_validator(mode="after")
    def _fits(self) -> "SignatureAsked":
        if self.kind is not SignatureKind.HEADER:
            if self.header is not None:
                raise ValueError(
                    f"a signature of kind {self.kind} has a header of its own: leave `header` out"
                )
        elif self.header is None:
            raise ValueError(
                "a signature of kind header needs `header`, the name of the header that holds the secret"
            )
        elif not values.fits(patterns.HEADER_VALUE, self.secret):
            raise ValueError(
                "the secret of a header must be printable ASCII that begins and ends with no space"
            )
        return self

    def to_signature(self) -> Signature:
        """The core's value. Of a header, the word Bearer is no part of the secret: it may be there or not."""
        if self.header is None:
            return Signature(kind=self.kind, secret=self.secret)
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
                "minLength": 1,
                "maxLength": 1024,
                "writeOnly": True,
            },
            "header": header,
        },
        "required": required,
        "additionalProperties": False,
    }


class SignatureShown(Answer):
    """How calls must be signed. `header` is in lower case, null where the kind has headers of its own."""

    kind: SignatureKind
    header: str | None


class SignatureSet(Answer):
    """How calls of the global URL must be signed; `kind` is null where they need not be."""

    kind: SignatureKind | None
    header: str | None


class HookAsked(Asked):
    """A webhook URL to be made, for news of one project's image only."""

    name: values.Title
    signature: SignatureAsked | None = None


class HookChange(Asked):
    """What to change of a webhook URL. A signature of null is demanded no more."""

    name: values.Title = unset()
    signature: SignatureAsked | None = None


class Hook(Answer):
    """A webhook URL, without the secret in it."""

    id: str
    project: Named
    name: str
    signature: SignatureShown | None
    created_at: datetime


class HookMade(Hook):
    """A webhook URL as it is shown once: nobody can read it again, only make a new one."""

    url: str


def signature_shown(signature: Signature | None) -> SignatureShown | None:
    """A signature without its secret."""
    return (
        SignatureShown(kind=signature.kind, header=signature.header or None) if signature else None
    )


def signature_set(signature: Signature | None) -> SignatureSet:
    """The same of the global URL, where none is something to be said, too."""
    shown = signature_shown(signature)
    return (
        SignatureSet(kind=shown.kind, header=shown.header)
        if shown
        else SignatureSet(kind=None, header=None)
    )
