"""ETag of what can be changed, and If-Match on its changes (RFC 9110, section 13.1.1)."""

import base64
import hashlib
import json
from dataclasses import asdict, is_dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from tagboat.api.answers import ProblemError
from tagboat.http.problem import ProblemKind

# The whole decides if it was changed; the parts only name the fields, and may be short.
_FIELD_CHARS, _WHOLE_CHARS = 3, 16
# A hash of a secret, however short, helps to guess it; names and presence do not.
_NAMES_ONLY = frozenset({"secrets", "secret_files"})
_PRESENCE_ONLY = frozenset({"password", "secret"})
_OMITTED = frozenset({"secret_hash", "inspected", "signed_in_at"})


def etag_of(value: object) -> str:
    """Return the ETag of a frozen value of the core.

    It has a part for each field, so that a change can be named, and a part for the whole.
    """
    fields = _visible_fields(value)
    parts = "".join(_field_digest(one)[:_FIELD_CHARS] for _, one in fields)
    return f'"{_field_digest(fields)[:_WHOLE_CHARS]}.{parts}"'


class VersionCheck:
    """The `If-Match` of a call, and the `ETag` of its answer."""

    def __init__(
        self,
        response: Response,
        if_match: Annotated[list[str] | None, Header(include_in_schema=False)] = None,
    ) -> None:
        self._response = response
        self._is_asked = if_match is not None
        # A header that is sent several times is one list (RFC 9110, section 5.3).
        given = ",".join(if_match or ())
        self._expected = [one.strip() for one in given.split(",") if one.strip()]

    def check(self, value: object) -> None:
        """Raise a problem with status 412, which names what changed, unless `value` is expected.

        To be called in the transaction that changes it.
        """
        # "*" asks only that it exists, which the transaction finds out (RFC 9110, section 13.1.1).
        if not self._is_asked or "*" in self._expected:
            return
        current = etag_of(value)
        if not self._expected:
            # Not the same as no condition: a client with an empty variable means one.
            raise ProblemError(
                HTTPStatus.PRECONDITION_FAILED,
                "If-Match is empty, and so names no version; send the ETag of the version that you"
                " read, * for any, or no If-Match",
                ProblemKind.STALE,
                {"ETag": current},
            )
        if current in self._expected:
            return
        changed = fields_changed_since(self._expected[0], value)
        named = f": {', '.join(changed)}" if changed else ""
        raise ProblemError(
            HTTPStatus.PRECONDITION_FAILED,
            f"it was changed since you read it{named}; read it again",
            ProblemKind.STALE,
            {"ETag": current},
        )

    def mark(self, value: object) -> None:
        """Put the `ETag` of `value` on the answer."""
        self._response.headers["ETag"] = etag_of(value)


Versioned = Annotated[VersionCheck, Depends(VersionCheck)]
"""The version, as routes ask for it."""


def _visible_fields(value: object) -> list[tuple[str, object]]:
    """Return the fields as they may be seen, those of run options among the others."""
    values: dict[str, Any] = asdict(value) if is_dataclass(value) else {}  # type: ignore[arg-type]
    found: list[tuple[str, object]] = []
    for name, one in {**values, **values.pop("run", {})}.items():
        if name in _NAMES_ONLY:
            found.append((name, sorted(one)))
        elif name == "signature" and one:
            found.append((name, {key: one[key] for key in one if key not in _PRESENCE_ONLY}))
        elif name in _PRESENCE_ONLY:
            found.append((name, one is not None))
        elif name not in _OMITTED | {"run"}:
            found.append((name, one))
    return found


def _field_digest(value: object) -> str:
    text = json.dumps(value, default=str, sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()


def fields_changed_since(before: str, value: object) -> list[str]:
    """Return the fields of a value that differ from those of an earlier ETag of it.

    None are returned if the two cannot be compared.
    """
    now, names = etag_of(value), [name for name, _ in _visible_fields(value)]
    # An older version of Tagboat had other fields, or somebody made the tag up.
    if len(before) != len(now):
        return []
    old, new = (tag.partition(".")[2].strip('"') for tag in (before, now))
    return [
        name
        for place, name in enumerate(names)
        if old[place * _FIELD_CHARS :][:_FIELD_CHARS] != new[place * _FIELD_CHARS :][:_FIELD_CHARS]
    ]
