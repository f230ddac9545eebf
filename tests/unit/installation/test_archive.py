import io
import random
import tarfile
from pathlib import Path

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.values import replace
from tagboat.installation.archive import (
    DATABASE_NAME,
    KEY_NAME,
    content_of,
    open_backup,
    write_archive,
)
from tagboat.installation.manifest import encode_manifest
from tests.unit.installation.test_manifest import MANIFEST

CHANCE = random.Random(1)  # noqa: S311 - the same in each run
HEADER_BYTES = 10
DATABASE = CHANCE.randbytes(300_000)


def archive(folder: Path, *, key: bytes | None = b"secret") -> bytes:
    file = folder / "database.db"
    file.write_bytes(DATABASE)
    sources: dict[str, Path | bytes] = {} if key is None else {KEY_NAME: key}
    sources[DATABASE_NAME] = file
    contents = tuple(content_of(name, source) for name, source in sources.items())
    out = io.BytesIO()
    write_archive(out, replace(MANIFEST, contents=contents), sources)
    return out.getvalue()


def unpack(packed: bytes, target: Path) -> str | None:
    with open_backup(io.BytesIO(packed), "it") as backup:
        key = backup.key_text()
        backup.unpack_database(target)
    return key


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    assert unpack(archive(tmp_path), tmp_path / "out") == "secret"
    assert (tmp_path / "out").read_bytes() == DATABASE
    assert unpack(archive(tmp_path, key=None), tmp_path / "out") is None


def test_any_damage_is_found_and_said_in_one_line(tmp_path: Path) -> None:
    packed = archive(tmp_path)
    for _ in range(40):
        place = CHANCE.randrange(len(packed) - 8)
        damaged = bytearray(packed)
        damaged[place] ^= 1 << CHANCE.randrange(8)
        said = ""
        try:
            unpack(bytes(damaged), tmp_path / "out")
        except InvalidValueError as error:
            said = str(error)
        # Some bits say nothing, such as those of the time in the header of gzip.
        whole = (tmp_path / "out").exists() and (tmp_path / "out").read_bytes() == DATABASE
        assert said.startswith("it cannot be restored: ") or (whole and place < HEADER_BYTES)


@pytest.mark.parametrize("end", [0, 1, 10, 100, 200_000])
def test_one_that_ends_too_early_is_refused(tmp_path: Path, end: int) -> None:
    with pytest.raises(InvalidValueError, match="it cannot be restored: "):
        unpack(archive(tmp_path)[:end], tmp_path / "out")


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    for other in (b"hello", b"SQLite format 3\0" * 100):
        with pytest.raises(InvalidValueError, match="it cannot be restored: "):
            unpack(other, tmp_path / "out")


def test_no_name_in_it_decides_where_something_is_written(tmp_path: Path) -> None:
    out = io.BytesIO()
    contents = (content_of(DATABASE_NAME, b"x"),)
    with tarfile.open(fileobj=out, mode="w|gz") as tar:
        manifest = encode_manifest(replace(MANIFEST, contents=contents))
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        tar.addfile(entry, io.BytesIO(manifest))
        link = tarfile.TarInfo(f"../{tmp_path.name}/owned")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(InvalidValueError, match="is not a file"):
        unpack(out.getvalue(), tmp_path / "out")
    assert not (tmp_path / "owned").is_symlink()
