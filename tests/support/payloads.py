"""Senders' payloads on disk: `SENDER/NAME.json`, and beside it `NAME.meta.json` with the headers
and what to expect.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagboat.core.errors import InvalidValueError
from tagboat.core.image import ImageRef, parse_digest
from tagboat.webhook.formats import recognise
from tagboat.webhook.formats.call import Call, ParsedNotification
from tagboat.webhook.formats.image_rules import on_host


@dataclass(frozen=True, slots=True)
class Payload:
    """One call as a sender makes it, header names in lower case; `meta` is what is said of it."""

    path: Path
    headers: Mapping[str, str]
    body: Any
    meta: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """The folder it lies in, named after its sender."""
        return self.path.parent.name

    @property
    def expected(self) -> list[tuple[str, str, str | None]]:
        """Image, tag and digest of each push, without a digest that is none, which a sample's may
        be.
        """
        return [
            (push["image"], push["tag"], _usable(push["digest"])) for push in self.meta["expect"]
        ]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the formats make of a call."""

    sender: str
    news: ParsedNotification
    images: tuple[ImageRef, ...]


def payloads(folder: Path) -> list[Payload]:
    """All payloads under `folder`, which may be missing."""
    return [_payload(meta) for meta in sorted(folder.glob("*/*.meta.json"))]


def hear(
    headers: Mapping[str, str], body: object, default_host: str = "default.example.org"
) -> Heard:
    """Read a call, taking images without a host to be on `default_host`."""
    call = Call(headers, body)
    form = recognise(call)
    news = form.read(call)
    found = [on_host(image, default_host) for image in news.unqualified]
    return Heard(form.NAME, news, (*news.images, *found))


def _payload(meta_path: Path) -> Payload:
    path = meta_path.with_name(meta_path.name.replace(".meta.json", ".json"))
    meta = json.loads(meta_path.read_text())
    headers = {name.lower(): value for name, value in meta["headers"].items()}
    return Payload(path, headers, json.loads(path.read_text()), meta)


def _usable(digest: str | None) -> str | None:
    try:
        return parse_digest(digest) if digest else None
    except InvalidValueError:
        return None
