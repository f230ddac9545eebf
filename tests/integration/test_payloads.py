"""Real senders' samples, where they lie beside the repository. They are other people's data, and
stay there.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.support.mutations import assert_news_or_refused, mutated
from tests.support.payloads import Payload, hear, payloads

FOLDER = Path(__file__).parents[2].parent / "shared" / "payloads"
SAMPLES = payloads(FOLDER)
# Folders that hold the samples of several senders.
SENDERS = {"native": {"keel"}, "ecr": {"ecr", "ecr-cloudevents"}}

beside = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="there are no senders' samples beside the repository"
)


@beside
def test_there_are_samples_of_the_senders() -> None:
    assert len(SAMPLES) >= 65
    assert len({payload.folder for payload in SAMPLES}) >= 15


@pytest.mark.parametrize(
    "sample", SAMPLES, ids=lambda sample: f"{sample.folder}-{sample.path.stem}"
)
def test_a_sample_says_what_it_is_said_to_say(sample: Payload) -> None:
    heard = hear(
        sample.headers, sample.body, sample.meta.get("default_host", "default.example.org")
    )
    assert heard.sender in SENDERS.get(sample.folder, {sample.folder})
    assert [(str(image.name), image.tag, image.digest) for image in heard.images] == sample.expected
    assert sample.expected or heard.news.reason


@beside
@settings(max_examples=600, deadline=None)
@given(mutated(SAMPLES))
def test_a_changed_sample_is_news_or_refused_and_names_no_image_of_its_own(
    case: tuple[dict[str, str], Any],
) -> None:
    headers, changed = case
    assert_news_or_refused(headers, json.dumps(changed).encode())
