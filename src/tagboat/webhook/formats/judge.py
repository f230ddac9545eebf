"""The rules that hold for all senders: which announced images can be used, and what becomes of the others."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tagboat.core.errors import InvalidImageRefError, InvalidValueError
from tagboat.core.image import MAX_NAME_LENGTH, ImageRef, parse_tag
from tagboat.webhook.formats.call import (
    Announced,
    Call,
    News,
    Skipped,
    UnqualifiedImage,
    repository_at,
    shown,
    usable_digest,
)

# What signing and scanning tools push beside an image, under a tag made of its digest.
_ATTACHMENT = re.compile(r"sha256-[0-9a-f]{64}(?:[.-].*)?", re.ASCII | re.IGNORECASE)
_NAME_THE_REGISTRY = (
    "end the webhook's URL with ?registry=NAME to say which of your registries is meant"
)
_CONTAINERS = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.config.v1+json",
    }
)
"""Media types of manifests, indexes and configurations of container images."""

T = TypeVar("T")


def judge(found: Announced, registry_host: str) -> ImageRef | UnqualifiedImage | Skipped:
    """Decide what to make of an announced image; `registry_host` is that of its call.

    What has no host, or one that no registry can have, is on `registry_host` where that is given.
    """
    written = printable(f"{found.host}/{found.path}" if found.host else found.path)
    if reason := _why_no_image(found.tag) or _why_no_container(found.media_types):
        return Skipped(written, reason)
    try:
        image = UnqualifiedImage(found.path, parse_tag(found.tag), usable_digest(found.digest))
        fault = _host_fault(found.host) if found.host else None
        if registry_host and (fault or not found.host):
            return on_host(image, registry_host)
        if fault:
            return Skipped(written, f"{fault}; {found.hint or _NAME_THE_REGISTRY}", needs_you=True)
        return on_host(image, found.host) if found.host else image
    except InvalidImageRefError as error:
        return Skipped(written, str(error))


def on_host(image: UnqualifiedImage, host: str) -> ImageRef:
    """`image` on `host`; raise InvalidImageRefError where the two together are no name."""
    return ImageRef(repository_at(host, image.path), image.tag, image.digest)


def _host_fault(host: str) -> str | None:
    try:
        repository_at(host, "any/image")
    except InvalidImageRefError as error:
        return str(error)
    return None


def printable(name: str) -> str:
    """Return what a sender calls an image, cut short and without what a terminal would take for orders."""
    cut = name if len(name) <= MAX_NAME_LENGTH else name[:MAX_NAME_LENGTH] + "…"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)


def _why_no_image(tag: str) -> str | None:
    """Say why a push under `tag` brings no image that could run; None where it does or where `tag` has still to be judged."""
    if not tag:
        return "it names no tag"
    if tag.startswith(("sha256:", "sha512:")):
        return "its tag is a digest: part of an image whose tag comes with an event of its own"
    if _ATTACHMENT.fullmatch(tag):
        return "its tag is that of a signature or an attestation"
    return None


def _why_no_container(media_types: Iterable[object]) -> str | None:
    for given in media_types:
        if (
            isinstance(given, str)
            and given
            and given.partition(";")[0].strip().lower() not in _CONTAINERS
        ):
            return f"it is not a container image: its media type is {shown(given)}"
    return None


def read_each(
    call: Call,
    entries: Iterable[tuple[str, T]],
    read: Callable[[T], Announced | Skipped | str],
    nothing: str,
) -> News:
    """Return the news of all `entries`, each with its place in the body. `read` gives what was pushed, or why nothing was.

    Entries of a shape that nobody sends are skipped beside others; where there are no others, the first InvalidValueError is
    raised again.
    """
    news: list[News] = []
    faults: list[str] = []
    for place, entry in entries:
        try:
            news.append(read_one(call, read(entry)))
        except InvalidValueError as error:
            faults.append(f"{place}: {error}")
    return joined(news, faults, nothing)


def read_one(call: Call, found: Announced | Skipped | str) -> News:
    """Return the news of one event: what it announces, or why it announces nothing."""
    if isinstance(found, str):
        return News((), found)
    judged = judge(found, call.registry_host) if isinstance(found, Announced) else found
    if isinstance(judged, Skipped):
        return News((), judged.reason, skipped=(judged,), needs_you=judged.needs_you)
    return News((judged,)) if isinstance(judged, ImageRef) else News((), hostless=(judged,))


def joined(parts: Sequence[News], faults: Sequence[str], nothing: str) -> News:
    """Return the news of several events as one; raise InvalidValueError where they are of no use and there are `faults`.

    `nothing` is the reason where several bring no image, each for a reason of its own.
    """
    images = tuple(image for part in parts for image in part.images)
    hostless = tuple(image for part in parts for image in part.hostless)
    skipped = tuple(one for part in parts for one in part.skipped)
    answer = next((part.answer for part in parts if part.answer), None)
    if faults and not (images or hostless or skipped or answer):
        raise InvalidValueError(faults[0])
    reasons = [part.reason for part in parts if part.reason]
    needing = [part.reason for part in parts if part.needs_you]
    reason = next(iter(needing), None)
    if reason is None and not (images or hostless):
        reason = reasons[0] if len(reasons) == 1 else nothing
    left_out = tuple(Skipped(None, fault) for fault in faults)
    return News(images, reason, hostless, answer, (*skipped, *left_out), needs_you=bool(needing))
