"""The JSON Schema of configuration files, which editors check and complete files with."""

from typing import Any

from tagboat.api.config_schemas import ConfigDocument
from tagboat.core.config_file import SECRET_MAPS, STRING_MAPS
from tagboat.core.secret_refs import REFERENCE_PATTERN

_REFERENCE = {
    "type": "string",
    "pattern": REFERENCE_PATTERN,
    "description": "env:NAME, file:PATH or exec:COMMAND; keep leaves the value as it is.",
}
_WRITTEN = {"type": ["string", "number", "boolean"]}


def config_json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of the YAML that `tagboat apply` reads."""
    schema = ConfigDocument.model_json_schema()
    for model in schema["$defs"].values():
        fields = model.get("properties", {})
        for name in SECRET_MAPS:
            if name in fields:
                fields[name] = {"type": "object", "additionalProperties": _REFERENCE}
        for name in STRING_MAPS:
            if name in fields:
                # The command reads what is written: a number or `true` is its text.
                fields[name] = {"type": "object", "additionalProperties": _WRITTEN}
        if "password" in fields:
            fields["password"] = _REFERENCE
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Tagboat configuration",
    }
