"""The OpenAPI document as one HTML page without scripts, fonts or images."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9rem; overflow-wrap: anywhere; }
pre { padding: 0.5rem; border: 1px solid; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid; padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }
h3 { margin-top: 2.5rem; }
"""
# The style is allowed by its hash, so that the page needs no 'unsafe-inline' (CSP Level 3).
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
)
Node = Mapping[str, Any]


def render_page(document: Node) -> str:
    """Return the page: the operations by group, then the schemas."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title} API</title><style>{_STYLE}</style></head><body><h1>{title} API</h1>",
            "<p>Send <code>Authorization: Bearer TOKEN</code> with each call. This page is made ",
            'from <a href="openapi.json">openapi.json</a>.</p>',
            *_operation_groups(document),
            "<h2>Schemas</h2>",
            *_schemas(document),
            "</body></html>",
        ]
    )


def _operation_groups(document: Node) -> Iterator[str]:
    groups: dict[str, list[tuple[str, str, Node]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            group = (operation.get("tags") or ["other"])[0]
            groups.setdefault(group, []).append((path, method, operation))
    yield "<nav><ul>"
    yield from (f'<li><a href="#{escape(name)}">{escape(name)}</a></li>' for name in groups)
    yield "</ul></nav>"
    for name, members in groups.items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>'
        for path, method, operation in members:
            yield from _operation(document, path, method, operation)


def _operation(document: Node, path: str, method: str, operation: Node) -> Iterator[str]:
    yield f'<h3 id="{escape(operation["operationId"])}">'
    yield f"<code>{method.upper()} {escape(path)}</code></h3>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    # An empty list overrides the token that the whole document asks for (OpenAPI 3.1).
    if operation.get("security") == []:
        yield "<p>Needs no token.</p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>parameter</th><th>in</th><th>meaning</th><th>example</th></tr>"
        for one in parameters:
            cells = (one["name"], one["in"], one.get("description", ""))
            yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}"
            yield f"<td><code>{escape(json.dumps(one.get('example')))}</code></td></tr>"
        yield "</table>"
    if body := operation.get("requestBody"):
        schema = next(iter(body["content"].values()))["schema"]
        yield f"<p>Body: {_type(schema)}, for example</p>"
        yield f"<pre>{escape(json.dumps(_example(document, schema), indent=2))}</pre>"
    yield "<table><tr><th>status</th><th>meaning</th><th>body</th></tr>"
    for status, response in operation["responses"].items():
        content: Node = next(iter(response.get("content", {}).values()), {})
        yield f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}</td>"
        yield f"<td>{_type(content['schema']) if content.get('schema') else ''}</td></tr>"
    yield "</table>"


def _schemas(document: Node) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<h3 id="schema-{escape(name)}"><code>{escape(name)}</code></h3>'
        yield f"<p>{escape(schema.get('description', ''))}</p>"
        if "enum" in schema:
            yield f"<p>One of <code>{escape(json.dumps(schema['enum']))}</code>.</p>"
        # A schema of several forms has its fields in each of them.
        for form in (schema, *schema.get("oneOf", ())):
            if "properties" in form:
                yield "<table><tr><th>field</th><th>type</th><th>meaning</th><th>example</th></tr>"
                for field, of_field in form["properties"].items():
                    need = ", required" if field in form.get("required", ()) else ""
                    example = json.dumps(of_field.get("examples", [None])[0])
                    yield f"<tr><td><code>{escape(field)}</code></td><td>{_type(of_field)}{need}"
                    yield f"</td><td>{escape(of_field.get('description', ''))}</td>"
                    yield f"<td><code>{escape(example)}</code></td></tr>"
                yield "</table>"


def _type(schema: Node) -> str:
    """Return the type as HTML, with links to named schemas."""
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return " or ".join(_type(one) for one in schema[choice])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    limits = (
        f" {word} {escape(str(schema[key]))}"
        for key, word in (("format", "as"), ("minimum", "from"), ("maximum", "to"))
        if key in schema
    )
    return escape(schema.get("type", "any")) + "".join(limits)


def _example(document: Node, schema: Node) -> object:
    """Return an example of a body: that of the schema, else of its required fields."""
    if reference := schema.get("$ref"):
        return _example(document, document["components"]["schemas"][reference.rpartition("/")[2]])
    if "examples" in schema:
        return schema["examples"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _example(document, schema[choice][0])
    fields = schema.get("properties", {})
    # Where nothing is required, two fields show the form; all of them would hide it.
    shown = schema.get("required") or list(fields)[:2]
    return {name: _example(document, fields[name]) for name in shown}
