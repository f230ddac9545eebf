"""The OpenAPI document is complete, and its page says the same without loading anything."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tagboat.api.openapi import iter_fields
from tests.support.api import Api, running_api

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path) as api:
        yield api


async def document_of(api: Api) -> Any:  # noqa: ANN401 - JSON
    return (await api.caller.get("/api/openapi.json")).json


async def test_each_field_has_a_description_and_an_example(api: Api) -> None:
    document = await document_of(api)
    fields = list(iter_fields(document))

    assert len(fields) > 300
    assert [
        f"{model}.{name}"
        for model, name, field in fields
        if not field.get("description") or "examples" not in field
    ] == []
    assert [
        (path, parameter["name"])
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
        if not parameter.get("description") or "example" not in parameter
    ] == []


async def test_each_operation_has_a_description_and_says_its_responses(api: Api) -> None:
    for path, operations in (await document_of(api))["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            assert all(one["description"] for one in operation["responses"].values())


async def test_each_example_of_a_request_is_valid(api: Api) -> None:
    document = await document_of(api)
    components = {"components": document["components"]}
    wrong = []
    for model, name, field in iter_fields(document):
        # The two forms of a signature share their examples.
        if model.endswith(("Create", "Update")) and model != "SignatureUpdate":
            validator = jsonschema_rs.validator_for({**field, **components})
            wrong += [
                (model, name, example)
                for example in field["examples"]
                if not validator.is_valid(example)
            ]
    assert wrong == []


async def test_the_webhook_is_described(api: Api) -> None:
    operation = (await document_of(api))["paths"]["/api/webhook/{secret}"]["post"]

    assert operation["security"] == []
    assert operation["responses"]["202"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ReceiptOut"
    }


async def test_the_page_has_each_operation_and_schema_and_loads_nothing(api: Api) -> None:
    document = await document_of(api)
    page = await api.caller.get("/api/docs")
    text = page.body.decode()

    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", text)
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in text
    targets = set(re.findall(r'href="#([^"]+)"', text))
    assert targets <= set(re.findall(r'id="([^"]+)"', text))
    assert (await api.anonymous.get("/api/docs")).status == 401
