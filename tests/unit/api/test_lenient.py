import pytest

from tagboat.api.config_schemas import ConfigDocument
from tagboat.api.lenient import TooMuchRefusedError, accepted_part
from tagboat.api.schemas import StageCreate


def test_what_a_schema_refuses_is_taken_out_and_named() -> None:
    stage, refused = accepted_part(
        StageCreate,
        {
            "name": "prod",
            "tag_pattern": "v*",
            "memory": "1m",
            "cap_add": ["SYS_ADMIN", "NET_ADMIN", "ALL"],
            "env": {"A=B": "1", "C": "2"},
            "made_up": 1,
        },
    )
    assert (stage.cap_add, stage.env) == (["NET_ADMIN"], {"C": "2"})
    assert {path for path, _ in refused} == {
        ("memory",),
        ("cap_add", "0"),
        ("cap_add", "1"),
        ("env", "A=B"),
        ("made_up",),
    }
    assert "SYS_ADMIN would let the app out" in "; ".join(reason for _, reason in refused)


def test_what_misses_a_field_goes_as_a_whole() -> None:
    document = {"projects": {"a": {"port": 80}, "b": {"image": "x"}}}
    _, refused = accepted_part(ConfigDocument, document)
    assert (list(document["projects"]), refused[0][0]) == (["b"], ("projects", "a"))


def test_a_document_without_anything_is_refused() -> None:
    with pytest.raises(TooMuchRefusedError, match="tag_pattern"):
        accepted_part(StageCreate, {"name": "prod"})
