"""Real senders' samples, where they lie beside the repository. They are other people's data, and stay there."""

import json
from pathlib import Path

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import parse_digest
from tagboat.webhook.formats import recognise
from tagboat.webhook.formats.call import Call

SAMPLES = Path(__file__).parents[2].parent / "shared" / "payloads"
SENDERS = ("native", "gitea", "distribution")
OTHER_SENDERS = {"keel-native"}  # a sender of its own, though it lies in the folder `native`


def samples() -> list[Path]:
    found = [
        path.with_name(path.name.replace(".meta.json", ".json")) for s in SENDERS for path in (SAMPLES / s).glob("*.meta.json")
    ]
    return sorted(path for path in found if path.stem not in OTHER_SENDERS)


def usable(digest: str | None) -> str | None:
    """The digest, unless it is malformed, which a sample's may be: then the tag alone is the news."""
    try:
        return parse_digest(digest) if digest else None
    except InvalidValueError:
        return None


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="there are no senders' samples beside the repository")
def test_there_are_samples_of_the_senders() -> None:
    assert {path.parent.name for path in samples()} == {"gitea", "distribution"}


@pytest.mark.parametrize("sample", samples(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_sample_says_what_it_is_said_to_say(sample: Path) -> None:
    meta = json.loads(sample.with_name(f"{sample.stem}.meta.json").read_text())
    headers = {name.lower(): value for name, value in meta["headers"].items()}
    call = Call(headers, json.loads(sample.read_text()))
    form = recognise(call)
    news = form.read(call)
    expected = [(push["image"], push["tag"], usable(push["digest"])) for push in meta["expect"]]
    assert sample.parent.name == form.NAME
    assert [(str(image.name), image.tag, image.digest) for image in news.images] == expected
    assert expected or news.reason
