import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.sample_image import SampleApp, build_image, build_index, own_architecture


def test_the_same_app_has_the_same_digest() -> None:
    app = SampleApp(
        body="hello",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        healthcheck="true",
        labels={"a": "b"},
    )
    assert build_image(app) == build_image(app)


def test_another_page_shares_the_layer_with_the_programs() -> None:
    one, two = build_image(SampleApp(body="one")), build_image(SampleApp(body="two"))
    assert one.digest != two.digest
    (shared,) = one.blobs.keys() & two.blobs.keys()
    assert len(one.blobs[shared]) == max(len(blob) for blob in one.blobs.values())
    assert sum(len(blob) for digest, blob in two.blobs.items() if digest != shared) < 2000


def test_programs_are_part_of_the_image_and_can_be_run() -> None:
    image = build_image(SampleApp(programs={"www/cgi-bin/slow": "#!/bin/sh\n"}))
    layer = min((blob for blob in image.blobs.values() if blob[:2] == b"\x1f\x8b"), key=len)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getmember("www/cgi-bin/slow").mode == 0o755
        assert tar.getmember("www/cgi-bin").isdir()


def test_an_index_names_its_images_and_brings_no_blobs() -> None:
    image = build_image(SampleApp())
    index = build_index({f"linux/{own_architecture()}": image})
    assert image.digest.encode() in index.manifest
    assert not index.blobs


def test_a_busybox_that_needs_libraries_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not statically linked; install a static busybox"):
        build_image(SampleApp(), Path("/bin/ls"))


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_text("#!/bin/sh\n")
    with pytest.raises(ValueError, match="not a 64-bit Linux program"):
        build_image(SampleApp(), tmp_path / "busybox")
