"""Payloads changed at random, and what a payload names: whatever a format reads out of one must be
found in it.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageRef, parse_image_ref
from tagboat.webhook.body import decode_body
from tests.support.payloads import Heard, Payload, hear

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FRAGMENTS = st.sampled_from(
    ["", "/", ":", "@", "//", "://", ".", "..", "-", ":v9", "@sha256:" + "d" * 64,
     "elsewhere.example.net/", "elsewhere",
     "evil/x", "elsewhere.example.net/x?", "localhost", "docker.io/", "%2F", "\x00", " ", "A",
     "ß", "K", "sha256:",
     "https://elsewhere.example.net", "[::1]:5000"]
)  # fmt: skip
_BASE64 = "in base64"  # the key under which what was hidden in base64 lies open
_GONE = object()

Path = tuple[str | int, ...]


@st.composite
def mutated(draw: st.DrawFn, originals: Sequence[Payload]) -> tuple[dict[str, str], Any]:
    """Headers and body of one of `originals`, in which one to three things were changed, by choice
    what names an image.
    """
    pushes = [payload for payload in originals if payload.expected]
    payload = draw(st.sampled_from(pushes) | st.sampled_from(pushes) | st.sampled_from(originals))
    headers, body = dict(payload.headers), _opened(payload.body)
    for _ in range(draw(st.integers(1, 3))):
        target = draw(st.integers(0, 9))
        if target == 0 and headers:
            name = draw(st.sampled_from(sorted(headers)))
            headers[name] = draw(_changed_text(headers[name]))
        else:
            leaves = dict(_leaves(body))
            telling = [
                path
                for path, text in leaves.items()
                if target > 3 and _tells(text, payload.expected)
            ]
            path = draw(st.sampled_from(telling or sorted(leaves, key=repr) or [()]))
            body = draw(_changed(body, path))
    return headers, _closed(body)


@st.composite
def _changed(draw: st.DrawFn, value: Any, path: Path) -> Any:  # noqa: ANN401 - JSON
    """`value` with what lies at `path` in it, or rarely something on the way there, changed or
    taken out.
    """
    if not path or draw(st.integers(0, 19)) == 0:
        return (
            draw(_changed_text(value))
            if isinstance(value, str) and draw(st.integers(0, 9))
            else draw(st.just(_GONE) | JSON)
        )
    inner = draw(_changed(value[path[0]], path[1:]))
    if isinstance(value, list):
        place = int(path[0])
        return value[:place] + ([] if inner is _GONE else [inner]) + value[place + 1 :]
    return {
        key: inner if key == path[0] else kept
        for key, kept in value.items()
        if key != path[0] or inner is not _GONE
    }


@st.composite
def _changed_text(draw: st.DrawFn, text: str) -> str:
    place = draw(st.integers(0, len(text)))
    pieces = [
        text[:place],
        text[place:],
        text.upper(),
        text * 2,
        text.replace("/", ""),
        text.partition(".")[0],
    ]
    return draw(
        st.sampled_from(pieces)
        | FRAGMENTS
        | FRAGMENTS.map(lambda more: text[:place] + more + text[place:])
        | FRAGMENTS.map(lambda more: more + text)
        | FRAGMENTS.map(lambda more: text + more)
    )


def _tells(text: str, expected: Sequence[tuple[str, str, str | None]]) -> bool:
    """Whether one of the images, or a part of its name, is in `text`."""
    parts = {part for image, tag, _ in expected for part in (*re.split(r"[/:]", image), tag)}
    parts |= {
        word
        for image, _, _ in expected
        for word in image.partition("/")[0].split(".")
        if "-" in word or word.isdecimal()
    }
    return any(part in text.lower() for part in parts if len(part) > 1)


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 - JSON
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in entries:
        yield from _leaves(inner, (*path, key))
    if not isinstance(value, dict | list):
        yield path, value if isinstance(value, str) else ""


def _opened(value: Any) -> Any:  # noqa: ANN401 - JSON
    """`value` with what is hidden in base64 lying open."""
    if isinstance(value, dict):
        return {key: _opened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_opened(inner) for inner in value]
    hidden = _hidden(value) if isinstance(value, str) else None
    return value if hidden is None else {_BASE64: hidden}


def _closed(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        if _BASE64 in value:
            return base64.b64encode(json.dumps(_closed(value[_BASE64])).encode()).decode()
        return {key: _closed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_closed(inner) for inner in value]
    return None if value is _GONE else value


def assert_news_or_refused(headers: Mapping[str, str], content: bytes) -> None:
    """Fail unless a call is refused, or is news of images that it names itself, or of none; either
    in a printable sentence.
    """
    try:
        body = decode_body(headers, content)
        heard = hear(headers, body)
    except InvalidValueError as error:
        said = str(error)
    else:
        assert heard.images or heard.news.reason
        assert made_up(headers, body, heard) == []
        assert all(parse_image_ref(str(image)) == image for image in heard.images)
        said = heard.news.reason or "images"
    assert 0 < len(said) < 1000
    assert said.isprintable()


def made_up(headers: Mapping[str, str], body: object, heard: Heard) -> list[str]:
    """The parts of what was heard that the call does not name.

    Of an array each event may have a sender of its own.
    """
    if not isinstance(body, list):
        return [
            part for image in heard.images for part in unnamed(heard.sender, headers, body, image)
        ]
    senders = ("acr-event-grid", "harbor", "zot", "ecr-cloudevents", "cloudevents")
    parts = [
        min((unnamed(sender, headers, body, image) for sender in senders), key=len)
        for image in heard.images
    ]
    return [part for own in parts for part in own]


def unnamed(sender: str, headers: Mapping[str, str], body: object, image: ImageRef) -> list[str]:
    """The parts of `image` that neither the call nor the sender's documented rule gives."""
    texts = [text for value in (dict(headers), body) for text in _texts(value)]
    segments = {segment for text in texts for segment in re.split(r"[/?#@]", text.lower())}
    words = {word for text in texts for word in re.split(r"[/:@?#]", text)}
    lower = {word.lower() for word in words}
    faults = (
        [f"host {image.name.host}"] if not _host_given(sender, image.name.host, segments) else []
    )
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
        return not segments.isdisjoint(
            {"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
        )
    words = {word for segment in segments for word in segment.split(":")}
    if sender == "ghcr":
        return host == "ghcr.io"
    if sender == "aliyun":
        return host.removeprefix("registry.").removesuffix(".aliyuncs.com") in words
    if sender in {"ecr", "ecr-cloudevents", "ecr-sns"}:
        account, _, rest = host.partition(".dkr.ecr.")
        return account in words and rest.removesuffix(".cn").removesuffix(".amazonaws.com") in words
    return host == "default.example.org" and sender not in {"native", "keel", "dockerhub", "gitea"}


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Every text in a JSON value, an object's keys and what is hidden in base64 or in a text among
    them.
    """
    if isinstance(value, str):
        yield value
        if (hidden := _hidden(value) or _json_in(value)) is not None:
            yield from _texts(hidden)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _json_in(text: str) -> Any:  # noqa: ANN401 - JSON
    """The JSON object that `text` is, None where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _hidden(text: str) -> Any:  # noqa: ANN401 - JSON
    """The JSON object that `text` is in base64 of either alphabet, None where it is none."""
    plain = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        value = json.loads(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
