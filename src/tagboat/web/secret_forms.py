"""The form of one secret: it is set or removed by its name, and never shown."""

from collections.abc import Callable
from typing import Any

from tagboat.api.run_schemas import RunModel
from tagboat.core.catalog import Project, Stage
from tagboat.core.errors import FieldError
from tagboat.web.form_bodies import as_body, as_typed
from tagboat.web.forms import Form, RefusedFieldsError

SECRET_KINDS = {"secrets": "environment variable", "secret_files": "file below /run/secrets"}


def secret_edit(form: Form) -> tuple[str, Callable[[Project | Stage], dict[str, Any]]]:
    """Return what was done in a sentence, and the change; raise FieldError.

    A form with `remove` removes the secret.
    """
    name, kind = form.text("secret_name"), form.text("secret_kind")
    if kind not in SECRET_KINDS:
        raise FieldError("secret_kind", f"must be one of {', '.join(SECRET_KINDS)}")
    if not name:
        raise FieldError("secret_name", "give it a name")
    removed = form.ticked("remove")
    # Browsers send CRLF, which a key or certificate would choke on.
    value = None if removed else form.exact("secret_value").replace("\r\n", "\n")
    if value == "":
        raise FieldError("secret_value", "type a value; to remove the secret there is a button")
    try:
        read = as_body(RunModel, {kind: {name: value}}, as_typed)
    except RefusedFieldsError as error:
        raise FieldError("secret_name", error.fields[kind]) from None
    done = f"{name} is removed." if removed else f"{name} is set."

    def edit(_old: Project | Stage) -> dict[str, Any]:
        return read.given()

    return f"{done} It holds from the next deploy on.", edit
