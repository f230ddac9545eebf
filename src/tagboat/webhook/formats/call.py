"""The values that every format reads and returns, and helpers to read decoded JSON."""

import base64
import binascii
from collections.abc import Mapping
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


class Call(msgspec.Struct, frozen=True):
    """One authentic call: header names in lower case, and the decoded JSON body.

    Formats get an object as `body`. `registry_host` is the host of the registry that the URL names
    (`?registry=NAME`), empty if it names none.
    """

    headers: Mapping[str, str]
    body: Any
    registry_host: str = ""


class AnnouncedImage(msgspec.Struct, frozen=True):
    """A pushed image as its sender writes it, not yet checked (`check_image`).

    `host` is empty if the sender names none, `tag` if there is none. `media_types` are those that
    the call gives for the manifest, its configuration and its artifact. `hint` says what to correct
    if the host cannot be the host of a registry.
    """

    host: str
    path: str
    tag: str
    digest: object = None
    media_types: tuple[object, ...] = ()
    hint: str = ""


class UnqualifiedImage(msgspec.Struct, frozen=True):
    """An image whose sender names no host. `path` is not checked yet: only whole names are."""

    path: str
    tag: str
    digest: Digest | None = None


class SkippedImage(msgspec.Struct, frozen=True):
    """An event that cannot be used; `needs_you` means that a person has to change something.

    `image` is the repository as the sender writes it, printable and shortened; None if it
    names none.
    """

    image: str | None
    reason: str
    needs_you: bool = False


class ParsedNotification(msgspec.Struct, frozen=True):
    """The images that a call announces, and the events that were `skipped`.

    The host of the images in `unqualified` has still to be found. `reason` says why there are no
    images, or, next to images, what a person should know about the sender. `needs_you` means that
    `reason` is something that a person has to do. `answer` is the JSON object that the sender
    expects instead of a receipt; usually None.
    """

    images: tuple[ImageRef, ...]
    reason: str | None = None
    unqualified: tuple[UnqualifiedImage, ...] = ()
    answer: Mapping[str, str] | None = None
    skipped: tuple[SkippedImage, ...] = ()
    needs_you: bool = False


def media_type(call: Call) -> str:
    """Return the content type in lower case, without parameters; empty if there is none."""
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def at(body: Any, *path: str) -> Any:  # noqa: ANN401 - decoded JSON
    """Return the value at `path` in a JSON object, None if there is none."""
    value = body
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text_at(body: Any, *path: str) -> str:  # noqa: ANN401 - decoded JSON
    """Return the non-empty string at `path`; raise InvalidValueError if there is none."""
    value = at(body, *path)
    if not isinstance(value, str) or not value:
        found = "missing" if value is None else "empty" if value == "" else "something else"
        raise InvalidValueError(f"{'.'.join(path)} must be a string, but is {found}")
    return value


def tag_at(body: Any, *path: str) -> str:  # noqa: ANN401 - decoded JSON
    """Return the tag at `path`, empty if there is none; raise InvalidValueError if not a string."""
    return "" if at(body, *path) in (None, "") else text_at(body, *path)


def list_at(body: Any, place: str, key: str) -> list[Any]:  # noqa: ANN401 - decoded JSON
    """Return the list under `key` of the JSON object at `place`; raise InvalidValueError."""
    value = body[key] if isinstance(body, dict) and key in body else ""
    # Go writes a list that was never filled as null, and most registries are written in Go.
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidValueError(f"{place}{key} must be a list, but is missing or something else")
    return value


def bytes_in_base64(text: str, place: str) -> bytes:
    """Decode base64 of either alphabet, padded or not; raise InvalidValueError naming `place`."""
    # Senders differ in alphabet and padding, and their manuals do not say which.
    plain = text.translate(_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    # ValueError: characters outside ASCII.
    except (binascii.Error, ValueError):
        raise InvalidValueError(f"{place} is not base64") from None


def json_of(text: bytes | str) -> Any:  # noqa: ANN401 - decoded JSON
    """Return the value of a JSON text, None if it is not JSON."""
    try:
        return msgspec.json.decode(text)
    # A few kilobytes of brackets are deep enough to exhaust a decoder.
    except (ValueError, RecursionError):
        return None


def shown(value: object) -> str:
    """Return a value for a message: a string in quotes, shortened; else "missing" or "no text"."""
    return excerpt(value) if isinstance(value, str) else "missing" if value is None else "no text"


def without_scheme(url: str) -> str:
    """Return `url` without its scheme."""
    return url.partition("://")[2] if "://" in url else url


def split_repository(url: str) -> tuple[str, str]:
    """Return host and path of `[SCHEME://]HOST/PATH[:TAG][@DIGEST]`, as they are written."""
    host, _, rest = without_scheme(url).partition("/")
    return host, rest.partition("@")[0].partition(":")[0]


def host_of(url: str) -> str:
    """Return HOST[:PORT] of a URL, without a user name; empty if it has no host."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


def repository_at(host: str, path: str) -> ImageName:
    """Return the repository `path` on `host`; raise InvalidImageRefError if it has no such name.

    `git/app` means Docker Hub to every tool, so an image on a host `git` cannot be pulled by name.
    """
    name = parse_image_name(f"{host}/{path}")
    if name.host != (DOCKER_HUB if is_docker_hub(host.lower()) else host.lower()):
        raise InvalidImageRefError(
            f"{shown(host)} cannot be the host of a registry: it needs a dot or a port, "
            "or must be localhost"
        )
    return name


def name_on(text: str, registry_host: str) -> ImageName:
    """Return the repository `text`; raise InvalidImageRefError if it is not a name.

    Where `text` names no host, it is on `registry_host`, or on Docker Hub if that is empty.
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
    """Return `value` as a digest, None if it is not one: the deploy resolves the tag anyway."""
    try:
        return parse_digest(value) if isinstance(value, str) else None
    except InvalidValueError:
        return None
