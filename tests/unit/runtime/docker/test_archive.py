import io
import tarfile

from tagboat.runtime.docker.archive import files_archive


def test_every_file_belongs_to_root_and_is_for_reading() -> None:
    packed = files_archive({"/run/secrets/key": "schlüssel\n", "/empty": ""})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        entries = archive.getmembers()
        contents = {entry.name: archive.extractfile(entry) for entry in entries}
        read = {name: content.read().decode() for name, content in contents.items() if content}
    assert read == {"run/secrets/key": "schlüssel\n", "empty": ""}
    assert {(entry.mode, entry.uid, entry.gid, entry.isreg()) for entry in entries} == {
        (0o444, 0, 0, True)
    }


def test_a_long_path_and_one_that_is_not_ascii_stay_whole() -> None:
    path = "/" + "/".join(["größe" * 20] * 4)
    with tarfile.open(fileobj=io.BytesIO(files_archive({path: "x"}))) as archive:
        assert archive.getnames() == [path[1:]]
