"""What every format reads, what it answers, and the few rules that hold for all senders."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from tagboat.core.errors import InvalidValueError
from tagboat.core.excerpt import excerpt
from tagboat.core.image import DOCKER_HUB, Digest, ImageName, ImageRef, is_docker_hub, parse_digest, parse_image_name

# What signing and scanning tools push beside an image, under a tag made of its digest.
_ATTACHMENT = re.compile(r"sha256-[0-9a-f]{64}(?:[.-].*)?", re.ASCII | re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One authentic call: header names in lower case, and the decoded JSON body, which formats see as an object."""

    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class HostlessImage:
    """An image whose sender does not say on which host it lives. `path` is not judged yet: a name is judged whole."""

    path: str
    tag: str
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class News:
    """The images a call announces, those in `hostless` on a host that has still to be found.

    `reason` says why there are none, where it announces something else; beside images, what was left out. `answer` is the JSON
    object that the sender wants to read instead of a receipt, None as a rule.
    """

    images: tuple[ImageRef, ...]
    reason: str | None = None
    hostless: tuple[HostlessImage, ...] = ()
    answer: Mapping[str, str] | None = None


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
        raise InvalidValueError(f"{'.'.join(path)} must be a text, and is missing or something else")
    return value


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


def json_in_base64(text: str, place: str) -> Any:  # noqa: ANN401 - decoded JSON
    """What `text`, found at `place`, says in base64 of either alphabet, padded or not; raise InvalidValueError if nothing."""
    plain = text.translate(_URL_SAFE).rstrip("=")
    try:
        return msgspec.json.decode(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError, RecursionError):  # ValueError: letters beyond ASCII, and what is no JSON
        raise InvalidValueError(f"{place} is not a JSON text in base64") from None


def shown(value: object) -> str:
    """A value for a sentence: a text in quotes, cut short; of anything else only what it is, since it may be nested deeply."""
    return excerpt(value) if isinstance(value, str) else "nothing" if value is None else "no text"


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
    """The repository `path` on `host`; raise InvalidValueError where the two together would be read as something else.

    `git/app` is Docker Hub's to everybody, so that an image on a host called `git` has no name that could be pulled.
    """
    name = parse_image_name(f"{host}/{path}")
    if name.host != (DOCKER_HUB if is_docker_hub(host.lower()) else host.lower()):
        raise InvalidValueError(f"{shown(host)} cannot be a registry's host: it needs a dot or a port, or to be localhost")
    return name


def usable_digest(value: object) -> Digest | None:
    """`value` as a digest, None if it is not one: the tag is the news, and the digest can be looked up."""
    try:
        return parse_digest(value) if isinstance(value, str) else None
    except InvalidValueError:
        return None


def why_no_image(tag: object) -> str | None:
    """Why a push under `tag` brings no image that could run, None where it does or where `tag` has still to be judged."""
    if tag is None or tag == "":
        return "it names no tag"
    if not isinstance(tag, str):
        return None
    if tag.startswith(("sha256:", "sha512:")):
        return "its tag is a digest: part of an image whose tag comes with an event of its own"
    if _ATTACHMENT.fullmatch(tag):
        return "its tag is that of a signature or an attestation"
    return None


def read_each(entries: Iterable[tuple[str, T]], read: Callable[[T], ImageRef | str], nothing: str) -> News:
    """The news of all `entries`, each with its place in the body. `read` gives an image, or why there is none.

    What cannot be used is left out beside what can; where nothing can, the first InvalidValueError is raised again.
    """
    images: list[ImageRef] = []
    reasons: list[str] = []
    faults: list[str] = []
    for place, entry in entries:
        try:
            found = read(entry)
        except InvalidValueError as error:
            faults.append(f"{place}: {error}")
        else:
            if isinstance(found, str):
                reasons.append(found)
            else:
                images.append(found)
    if images:
        return News(tuple(images), left_out(faults))
    if faults:
        raise InvalidValueError(faults[0])
    return News((), reasons[0] if len(reasons) == 1 else nothing)


def left_out(faults: Sequence[str]) -> str | None:
    """What of a call could not be used, where other parts could; None for nothing."""
    if not faults:
        return None
    return f"left out, for it cannot be used: {faults[0]}" + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")


def read_one(body: T, read: Callable[[T], ImageRef | str]) -> News:
    """The news of a call that announces one thing."""
    found = read(body)
    return News((), found) if isinstance(found, str) else News((found,))
