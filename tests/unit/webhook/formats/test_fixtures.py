"""Every sender's calls as they come, and as nobody meant them: nothing but news or a refusal, and
no image made up.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagboat.core.image import ImageRef, parse_image_ref
from tagboat.webhook.formats import FORMATS
from tests.support.mutations import assert_news_or_refused, made_up, mutated, unnamed
from tests.support.payloads import Payload, hear, payloads

FIXTURES = payloads(Path(__file__).parent / "fixtures")
ALWAYS_A_PUSH = {"native", "keel"}


def name(payload: Payload) -> str:
    return f"{payload.folder}-{payload.path.stem}"


@pytest.mark.parametrize("payload", FIXTURES, ids=name)
def test_a_fixture_says_what_it_is_said_to_say(payload: Payload) -> None:
    heard = hear(
        payload.headers, payload.body, payload.meta.get("default_host", "default.example.org")
    )
    assert heard.sender == payload.folder
    assert [
        (str(image.name), image.tag, image.digest) for image in heard.images
    ] == payload.expected
    assert payload.meta.get("reason", "nothing is said") in (heard.news.reason or "nothing is said")
    assert heard.news.answer == payload.meta.get("answer")
    assert bool(heard.images) != bool(heard.news.reason)


@pytest.mark.parametrize("payload", FIXTURES, ids=name)
def test_a_fixture_names_its_images(payload: Payload) -> None:
    assert made_up(payload.headers, payload.body, hear(payload.headers, payload.body)) == []


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.NAME)
def test_every_sender_has_fixtures_of_pushes_and_of_what_is_passed_over(form: Any) -> None:  # noqa: ANN401 - a module
    own = [bool(payload.expected) for payload in FIXTURES if payload.folder == form.NAME]
    assert True in own
    assert form.NAME in ALWAYS_A_PUSH or False in own


def test_every_folder_of_fixtures_is_a_senders() -> None:
    assert {payload.folder for payload in FIXTURES} == {form.NAME for form in FORMATS}


@settings(max_examples=1500, deadline=None)
@given(mutated(FIXTURES))
def test_a_changed_call_is_news_or_refused_and_names_no_image_of_its_own(
    case: tuple[dict[str, str], Any],
) -> None:
    headers, changed = case
    assert_news_or_refused(headers, json.dumps(changed).encode())


@settings(max_examples=300, deadline=None)
@given(
    payload=st.sampled_from(FIXTURES),
    place=st.integers(0),
    change=st.binary(max_size=8),
    cut=st.integers(0, 8),
)
def test_a_garbled_body_is_news_or_refused(
    payload: Payload, place: int, change: bytes, cut: int
) -> None:
    whole = json.dumps(payload.body).encode()
    place %= len(whole) + 1
    assert_news_or_refused(payload.headers, whole[:place] + change + whole[place + cut :])


# The check of the checks.


@pytest.mark.parametrize(
    ("sender", "image", "fault"),
    [
        ("acr", "r.example.org/shop/web:v1", []),
        ("acr", "r.example.org/shop/web:V1", ["tag V1"]),
        ("acr", "r.example.org/shop/we:v1", ["path part we"]),
        ("acr", "r.example.org/library/web:v1", ["path part library"]),
        ("acr", "example.org/shop/web:v1", ["host example.org"]),
        ("acr", "r.example.org:443/shop/web:v1", ["host r.example.org:443"]),
        ("acr", "docker.io/shop/web:v1", ["host docker.io"]),
        ("dockerhub", "docker.io/library/web:v1", []),
        ("acr", "ghcr.io/shop/web:v1", ["host ghcr.io"]),
        ("ghcr", "ghcr.io/shop/web:v1", []),
        ("acr", "r.example.org/shop/web:latest", ["tag latest"]),
        ("native", "r.example.org/shop/web:latest", []),
        ("aliyun", "registry.v1.aliyuncs.com/shop/web:v1", []),
        ("aliyun", "registry.v3.aliyuncs.com/shop/web:v1", ["host registry.v3.aliyuncs.com"]),
        ("ecr", "42.dkr.ecr.v1.amazonaws.com/shop/web:v1", []),
        ("ecr", "43.dkr.ecr.v1.amazonaws.com/shop/web:v1", ["host 43.dkr.ecr.v1.amazonaws.com"]),
        ("zot", "default.example.org/shop/web:v1", []),
        ("acr", "default.example.org/shop/web:v1", []),
        ("gitea", "default.example.org/shop/web:v1", ["host default.example.org"]),
        ("acr", "r.example.org/shop/web:v1@sha256:" + "e" * 64, ["digest sha256:" + "e" * 64]),
    ],
)
def test_an_image_that_a_call_does_not_name_is_noticed(
    sender: str, image: str, fault: list[str]
) -> None:
    body = {"request": {"host": "https://r.example.org/v2"}, "target": ["Shop/Web", {"v1": "42"}]}
    assert unnamed(sender, {}, body, parse_image_ref(image)) == fault


def test_what_is_hidden_in_base64_is_named() -> None:
    push = next(payload for payload in FIXTURES if payload.path.stem == "insert_url_safe")
    image: ImageRef = hear(push.headers, push.body).images[0]
    assert unnamed("gcr", {}, push.body, image) == []
    assert unnamed("gcr", {}, {"message": {"data": "eyJhIjogMX0"}}, image) != []
