"""Payloads changed at random, and what a payload names: whatever a format reads out of one must be found in it."""

import base64
import binascii
import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tagboat.core.image import ImageRef
from tests.support.payloads import Heard, Payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FRAGMENTS = st.sampled_from(
    ["", "/", ":", "@", "//", "://", ".", "..", "-", ":v9", "@sha256:" + "d" * 64, "elsewhere.example.net/", "elsewhere",
     "evil/x", "localhost", "docker.io/", "%2F", "\x00", " ", "A", "ß", "K", "sha256:",
     "https://elsewhere.example.net", "[::1]:5000"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, originals: Sequence[Payload]) -> tuple[Payload, dict[str, str], Any]:
    """One of `originals` with its headers and body, in which up to four things were changed."""
    payload = draw(st.sampled_from(originals))
    headers, body = dict(payload.headers), copy.deepcopy(payload.body)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 9)) == 0:
            name = draw(st.sampled_from(sorted(headers)))
            headers[name] = draw(_changed_text(headers[name]))
        else:
            changed = draw(_changed(body))
            body = None if changed is _GONE else changed
    return payload, headers, body


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:  # noqa: ANN401 - JSON
    """`value` with one thing in it changed. What is hidden in base64 is changed there."""
    if isinstance(value, dict) and value and draw(st.integers(0, 19)):
        key = draw(st.sampled_from(sorted(value)))
        changed = draw(_changed(value[key]))
        rest = {name: kept for name, kept in value.items() if name != key}
        return rest if changed is _GONE else {**rest, draw(st.sampled_from([key] * 9 + [key.upper()])): changed}
    if isinstance(value, list) and value and draw(st.integers(0, 19)):
        place = draw(st.integers(0, len(value) - 1))
        changed = draw(_changed(value[place]))
        return value[:place] + ([] if changed is _GONE else [changed]) + value[place + 1 :]
    if isinstance(value, str):
        hidden = _hidden(value)
        if hidden is not None and draw(st.booleans()):
            inner = draw(_changed(hidden))
            return value if inner is _GONE else base64.b64encode(json.dumps(inner).encode()).decode()
        if draw(st.integers(0, 4)):
            return draw(_changed_text(value))
    return _GONE if draw(st.booleans()) else draw(JSON | FRAGMENTS)


_GONE = object()


@st.composite
def _changed_text(draw: st.DrawFn, text: str) -> str:
    place = draw(st.integers(0, len(text)))
    return draw(
        st.sampled_from([text[:place], text[place:], text.upper(), text * 2, text.replace(".", ""), text.replace("/", "")])
        | FRAGMENTS.map(lambda more: text[:place] + more + text[place:])
        | FRAGMENTS.map(lambda more: more + text)
    )


def made_up(headers: Mapping[str, str], body: object, heard: Heard) -> list[str]:
    """The parts of what was heard that the call does not name. Of an array each event may have a sender of its own."""
    if not isinstance(body, list):
        return [part for image in heard.images for part in unnamed(heard.sender, headers, body, image)]
    senders = ("acr-event-grid", "harbor", "zot", "ecr-cloudevents", "cloudevents")
    parts = [min((unnamed(sender, headers, body, image) for sender in senders), key=len) for image in heard.images]
    return [part for own in parts for part in own]


def unnamed(sender: str, headers: Mapping[str, str], body: object, image: ImageRef) -> list[str]:
    """The parts of `image` that the call neither names nor gives by the sender's documented rule."""
    texts = [text for value in (dict(headers), body) for text in _texts(value)]
    segments = {segment for text in texts for segment in re.split(r"[/?#@]", text.lower())}
    words = {word for text in texts for word in re.split(r"[/:@?#]", text)}
    lower = {word.lower() for word in words}
    faults = [f"host {image.name.host}"] if not _host_given(sender, image.name.host, segments) else []
    library = image.name.host == "docker.io" and image.name.path.startswith("library/")
    parts = image.name.path.split("/")[1 if library else 0 :]
    faults += [f"path part {part}" for part in parts if part not in lower]
    if image.tag not in words and not (image.tag == "latest" and sender == "native"):
        faults.append(f"tag {image.tag}")
    if image.digest and image.digest.partition(":")[2] not in words:
        faults.append(f"digest {image.digest}")
    return faults


def _host_given(sender: str, host: str, segments: set[str]) -> bool:
    if host in segments or (host == "docker.io" and sender in {"native", "keel", "dockerhub"}):
        return True
    if host == "docker.io":
        return not segments.isdisjoint({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
    words = {word for segment in segments for word in segment.split(":")}
    if sender == "ghcr":
        return host == "ghcr.io"
    if sender == "aliyun":
        return host.removeprefix("registry.").removesuffix(".aliyuncs.com") in words
    if sender in {"ecr", "ecr-cloudevents"}:
        account, _, rest = host.partition(".dkr.ecr.")
        return account in words and rest.removesuffix(".cn").removesuffix(".amazonaws.com") in words
    return sender in {"nexus", "zot"} and host == "default.example.org"


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Every text in a JSON value, an object's keys and what is hidden in base64 among them."""
    if isinstance(value, str):
        yield value
        if (hidden := _hidden(value)) is not None:
            yield from _texts(hidden)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _hidden(text: str) -> Any:  # noqa: ANN401 - JSON
    """The JSON object that `text` is in base64 of either alphabet, None where it is none."""
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        value = json.loads(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
