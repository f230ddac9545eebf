"""Forms that were sent after their session had ended: what was typed outlives the sign-in."""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from tagboat.http.forgery import CSRF_FIELD
from tagboat.web.forms import Form
from tagboat.web.security import own_path

_ACTION = "kept-action"
_TYPED = "kept."
_TO_TYPE_AGAIN = "kept-secret."
# They are typed again: they must not lie in a page that somebody else may find open.
_SECRET_NAME = re.compile(
    r"password|secret(?!_(?:name|kind)$)|docker_config|^(current|new|repeated)$"
)
# Keys, certificates and logins: in a field of one line a browser would join theirs.
_SEVERAL_LINES = frozenset({"secret_value", "docker_config"})
_UNSEEN_NAME = re.compile(r"version|next|was-.*")


class KeptField(Struct, frozen=True):
    """One field. Of a `secret` one only the name is kept; an `unseen` one is not for people."""

    name: str
    value: str
    secret: bool = False

    @property
    def unseen(self) -> bool:
        """True for a field that was hidden in the form."""
        return _UNSEEN_NAME.fullmatch(self.name) is not None

    @property
    def has_lines(self) -> bool:
        """True for a field whose value has several lines, or may have them."""
        return "\n" in self.value or self.name in _SEVERAL_LINES

    @property
    def label(self) -> str:
        """The name as words."""
        return re.sub(r"[-_.]+", " ", self.name).capitalize()


class KeptForm(Struct, frozen=True):
    """A form as it was typed, and the address `action` that it was sent to."""

    action: str
    fields: tuple[KeptField, ...]

    @property
    def carried(self) -> Iterable[tuple[str, str]]:
        """The hidden fields that bring it through the page for signing in."""
        yield _ACTION, self.action
        for field in self.fields:
            yield (_TO_TYPE_AGAIN if field.secret else _TYPED) + field.name, field.value


def keep_form(action: str, form: Form) -> KeptForm | None:
    """Return the form sent to `action` without its secrets; None if nothing was in it."""
    fields = tuple(
        KeptField(name, "", secret=True)
        if value and _SECRET_NAME.search(name)
        else KeptField(name, value)
        for name, value in _pairs(form.fields)
        # It belongs to the session that has ended.
        if name != CSRF_FIELD
    )
    return KeptForm(action, fields) if fields else None


def kept_in(form: Form) -> KeptForm | None:
    """Return the form that the page for signing in has carried along, None for none."""
    # From a hidden field, which anybody may have written.
    action = own_path(form.text(_ACTION))
    if action == "/":
        return None
    fields = []
    for name, value in _pairs(form.fields):
        if name.startswith(_TYPED):
            fields.append(KeptField(name.removeprefix(_TYPED), value))
        elif name.startswith(_TO_TYPE_AGAIN):
            fields.append(KeptField(name.removeprefix(_TO_TYPE_AGAIN), "", secret=True))
    return KeptForm(action, tuple(fields))


def _pairs(fields: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, values in fields.items() for value in values)
