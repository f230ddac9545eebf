import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.values import replace
from tagboat.installation.manifest import (
    BackupContent,
    BackupManifest,
    KeyInBackup,
    decode_manifest,
    encode_manifest,
    why_not_restorable,
)
from tagboat.store.snapshot import DatabaseKind

MANIFEST = BackupManifest(
    format=1,
    tagboat="1.2.3",
    schema="0027",
    made_at="2026-11-29T10:00:00Z",
    database=DatabaseKind.SQLITE,
    installation="i1",
    key=KeyInBackup.PLAIN,
    key_id="00112233",
    contents=(BackupContent(name="database", size=1, sha256="ab"),),
)


def why_not(manifest: BackupManifest, database: DatabaseKind = DatabaseKind.SQLITE) -> str | None:
    return why_not_restorable(manifest, version="1.2.4", schema="0027", database=database)


def test_it_is_read_as_it_was_written() -> None:
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


def test_another_format_names_the_version_that_reads_it() -> None:
    later = encode_manifest(replace(MANIFEST, format=2, tagboat="3.0"))
    with pytest.raises(InvalidValueError, match="format 2, .* restore it with Tagboat 3.0"):
        decode_manifest(later)


@pytest.mark.parametrize("document", [b"", b"{}", b"[1]", b'{"format":1,"tagboat":"1"}'])
def test_what_is_no_manifest_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidValueError, match="cannot be read"):
        decode_manifest(document)


def test_exactly_the_same_schema_is_restored() -> None:
    assert why_not(MANIFEST) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "0028"}, "made by a newer Tagboat (1.2.3, schema 0028; this is 1.2.4"),
        ({"schema": "0026"}, "made by an older Tagboat (1.2.3, schema 0026; this is 1.2.4"),
        (
            {"schema": "0026", "before_migration": True},
            "just before the upgrade to Tagboat 1.2.3 (schema 0026;",
        ),
        ({"database": DatabaseKind.POSTGRESQL}, "set TAGBOAT_DATABASE_URL to an empty one"),
    ],
)
def test_versions_and_databases_are_not_mixed(changes: dict[str, object], words: str) -> None:
    why = why_not(replace(MANIFEST, **changes))  # type: ignore[arg-type]
    assert why is not None
    assert words in why


def test_sqlite_is_not_restored_into_postgresql() -> None:
    assert "TAGBOAT_DATABASE_URL is set" in (why_not(MANIFEST, DatabaseKind.POSTGRESQL) or "")
