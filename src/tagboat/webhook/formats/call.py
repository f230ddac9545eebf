"""What every format reads, and what it answers."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tagboat.core.errors import InvalidImageRefError, InvalidValueError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import (
    DOCKER_HUB,
    Digest,
    ImageName,
    ImageRef,
    is_docker_hub,
    parse_digest,
    parse_image_name,
)

_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Call:
    """One authentic call: header names in lower case, and the decoded JSON body, which formats see as an object.

    `registry_host` is the host of the registry that the URL names (`?registry=NAME`), empty where it names none.
    """

    headers: Mapping[str, str]
    body: Any
    registry_host: str = ""


@dataclass(frozen=True, slots=True)
class Announced:
    """One pushed image as its sender writes it. `judge` decides whether it can be used.

    `host` is empty where the sender names none, `tag` where there is none. `media_types` are those that the call gives of the
    manifest, its configuration and its artifact. `hint` says what to mend where the host cannot be a registry's.
    """

    host: str
    path: str
    tag: str
    digest: object = None
    media_types: tuple[object, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class UnqualifiedImage:
    """An image whose sender does not say on which host it lives. `path` is not judged yet: a name is judged whole."""

    path: str
    tag: str
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A sender's event that cannot be used. `needs_you` is set where a person has to change something for it.

    `image` is the repository as the sender writes it, printable and cut short; None where it names none.
    """

    image: str | None
    reason: str
    needs_you: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """The images a call announces, those in `hostless` on a host that has still to be found, and what was `skipped`.

    `reason` says why there are none, where there are none; beside images, what a person should know of the sender. `needs_you`
    is set where `reason` is something that a person has to do. `answer` is the JSON object that the sender wants to read
    instead of a receipt, None as a rule.
    """

    images: tuple[ImageRef, ...]
    reason: str | None = None
    hostless: tuple[UnqualifiedImage, ...] = ()
    answer: Mapping[str, str] | None = None
    skipped: tuple[Skipped, ...] = ()
    needs_you: bool = False


def media_type(call: Call) -> str:
    """The content type in lower case, without its parameters; empty where none is given."""
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def at(body: Any, *path: str) -> Any:  # noqa: ANN401 - decoded JSON
    """Whatever is at `path` in a JSON object, None where there is nothing."""
    value = body
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text_at(body: Any, *path: str) -> str:  # noqa: ANN401 - decoded JSON
    """The non-empty text at `path` in a JSON object; raise InvalidValueError naming the path when it is not there."""
    value = at(body, *path)
    if not isinstance(value, str) or not value:
        found = "missing" if value is None else "empty" if value == "" else "something else"
        raise InvalidValueError(f"{'.'.join(path)} must be a string, and is {found}")
    return value


def tag_at(body: Any, *path: str) -> str:  # noqa: ANN401 - decoded JSON
    """Return the tag at `path` in a JSON object, empty where there is none; raise InvalidValueError where it is no text."""
    return "" if at(body, *path) in (None, "") else text_at(body, *path)


def list_at(body: Any, place: str, key: str) -> list[Any]:  # noqa: ANN401 - decoded JSON
    """The list under `key` of the JSON object at `place`; raise InvalidValueError naming it when there is none.

    Null is an empty list: Go writes one that was never filled so, and most registries are written in it.
    """
    value = body[key] if isinstance(body, dict) and key in body else ""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidValueError(f"{place}{key} must be a list, and is missing or something else")
    return value


def bytes_in_base64(text: str, place: str) -> bytes:
    """Decode `text`, found at `place`, from base64 of either alphabet, padded or not, or raise InvalidValueError."""
    plain = text.translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):  # ValueError: letters beyond ASCII
        raise InvalidValueError(f"{place} is not base64") from None


def json_of(text: bytes | str) -> Any:  # noqa: ANN401 - decoded JSON
    """Return the value of a JSON text, None where it is none."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def shown(value: object) -> str:
    """A value for a sentence: a text in quotes, cut short; of anything else only what it is, since it may be nested deeply."""
    return excerpt(value) if isinstance(value, str) else "missing" if value is None else "no text"


def without_scheme(url: str) -> str:
    """`url` from its host on."""
    return url.partition("://")[2] if "://" in url else url


def split_repository(url: str) -> tuple[str, str]:
    """Host and path of `[SCHEME://]HOST/PATH[:TAG][@DIGEST]`, as they are written."""
    host, _, rest = without_scheme(url).partition("/")
    return host, rest.partition("@")[0].partition(":")[0]


def host_of(url: str) -> str:
    """HOST[:PORT] of a URL, without any user name in front; empty where it has no host."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def repository_at(host: str, path: str) -> ImageName:
    """The repository `path` on `host`; raise InvalidImageRefError where the two together would be read as something else.

    `git/app` is Docker Hub's to everybody, so that an image on a host called `git` has no name that could be pulled.
    """
    name = parse_image_name(f"{host}/{path}")
    if name.host != (DOCKER_HUB if is_docker_hub(host.lower()) else host.lower()):
        raise InvalidImageRefError(
            f"{shown(host)} cannot be a registry's host: it needs a dot or a port, or to be localhost"
        )
    return name


def name_on(text: str, registry_host: str) -> ImageName:
    """Return the repository `text`: on `registry_host`, if that is not empty, where `text` names no host; else on Docker Hub.

    Raises InvalidImageRefError where it is no name.
    """
    name = parse_image_name(text)
    if (
        not registry_host
        or name.host != DOCKER_HUB
        or is_docker_hub(text.partition("/")[0].lower())
    ):
        return name
    return repository_at(registry_host, text)


def usable_digest(value: object) -> Digest | None:
    """`value` as a digest, None if it is not one: the tag is the news, and the digest can be looked up."""
    try:
        return parse_digest(value) if isinstance(value, str) else None
    except InvalidValueError:
        return None
