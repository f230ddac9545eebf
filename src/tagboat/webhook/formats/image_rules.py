"""The rules for all senders: which announced images can be used, and why the others are skipped."""

import re
from collections.abc import Callable, Iterable, Sequence

from tagboat.core.errors import InvalidImageRefError, InvalidValueError
from tagboat.core.generics import T
from tagboat.core.image import MAX_NAME_LENGTH, ImageRef, parse_tag
from tagboat.webhook.formats.call import (
    AnnouncedImage,
    Call,
    ParsedNotification,
    SkippedImage,
    UnqualifiedImage,
    repository_at,
    shown,
    usable_digest,
)

# Signing and scanning tools push their results under a tag made of the image's digest.
_DIGEST_TAG = re.compile(r"sha256-[0-9a-f]{64}(?:[.-].*)?", re.ASCII | re.IGNORECASE)
_NAME_THE_REGISTRY = (
    "end the webhook's URL with ?registry=NAME to say which of your registries is meant"
)
# Media types of manifests, indexes and configurations of container images.
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


def check_image(
    found: AnnouncedImage, registry_host: str
) -> ImageRef | UnqualifiedImage | SkippedImage:
    """Return the image that was announced, or why it cannot be used.

    Where it names no host, or one that no registry can have, it is on `registry_host` if given.
    """
    written = printable(f"{found.host}/{found.path}" if found.host else found.path)
    if reason := _why_not_runnable(found):
        return SkippedImage(written, reason)
    fault = None
    if found.host:
        try:
            repository_at(found.host, "any/image")
        except InvalidImageRefError as error:
            fault = str(error)
    try:
        image = UnqualifiedImage(found.path, parse_tag(found.tag), usable_digest(found.digest))
        if registry_host and (fault or not found.host):
            return on_host(image, registry_host)
        if fault:
            return SkippedImage(
                written, f"{fault}; {found.hint or _NAME_THE_REGISTRY}", needs_you=True
            )
        return on_host(image, found.host) if found.host else image
    except InvalidImageRefError as error:
        return SkippedImage(written, str(error))


def _why_not_runnable(found: AnnouncedImage) -> str | None:
    tag = found.tag
    if not tag:
        return "it names no tag"
    if tag.startswith(("sha256:", "sha512:")):
        return "its tag is a digest: part of an image whose tag is announced by another event"
    if _DIGEST_TAG.fullmatch(tag):
        return "its tag is that of a signature or an attestation"
    for given in found.media_types:
        # Senders leave out media types that they do not know.
        if not isinstance(given, str) or not given:
            continue
        if given.partition(";")[0].strip().lower() not in _CONTAINERS:
            return f"it is not a container image: its media type is {shown(given)}"
    return None


def on_host(image: UnqualifiedImage, host: str) -> ImageRef:
    """Return `image` on `host`; raise InvalidImageRefError if the two together are not a name."""
    return ImageRef(repository_at(host, image.path), image.tag, image.digest)


def printable(name: str) -> str:
    """Return a sender's name of an image, shortened and without control characters."""
    cut = name if len(name) <= MAX_NAME_LENGTH else name[:MAX_NAME_LENGTH] + "…"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in cut)


def read_each(
    call: Call,
    entries: Iterable[tuple[str, T]],
    read: Callable[[T], AnnouncedImage | SkippedImage | str],
    nothing: str,
) -> ParsedNotification:
    """Merge what all `entries`, each with its place in the body, announce.

    `read` returns what was pushed, or why nothing was. Entries of an unknown shape are skipped;
    raises the first InvalidValueError again if there are no others.
    """
    parts: list[ParsedNotification] = []
    faults: list[str] = []
    for place, entry in entries:
        try:
            parts.append(read_one(call, read(entry)))
        except InvalidValueError as error:
            faults.append(f"{place}: {error}")
    return merge_parsed(parts, faults, nothing)


def read_one(call: Call, found: AnnouncedImage | SkippedImage | str) -> ParsedNotification:
    """Return what one event announces, or why it announces nothing."""
    if isinstance(found, str):
        return ParsedNotification((), found)
    checked = check_image(found, call.registry_host) if isinstance(found, AnnouncedImage) else found
    if isinstance(checked, SkippedImage):
        return ParsedNotification(
            (), checked.reason, skipped=(checked,), needs_you=checked.needs_you
        )
    if isinstance(checked, ImageRef):
        return ParsedNotification((checked,))
    return ParsedNotification((), unqualified=(checked,))


def merge_parsed(
    parts: Sequence[ParsedNotification], faults: Sequence[str], nothing: str
) -> ParsedNotification:
    """Merge what several events announce; raise InvalidValueError for `faults` if it is nothing.

    `nothing` is the reason where several bring no image, each for a different reason.
    """
    images = tuple(image for part in parts for image in part.images)
    unqualified = tuple(image for part in parts for image in part.unqualified)
    skipped = tuple(one for part in parts for one in part.skipped)
    answer = next((part.answer for part in parts if part.answer), None)
    if faults and not (images or unqualified or skipped or answer):
        raise InvalidValueError(faults[0])
    reasons = [part.reason for part in parts if part.reason]
    needing = [part.reason for part in parts if part.needs_you]
    reason = next(iter(needing), None)
    if reason is None and not (images or unqualified):
        reason = reasons[0] if len(reasons) == 1 else nothing
    left_out = tuple(SkippedImage(None, fault) for fault in faults)
    return ParsedNotification(
        images, reason, unqualified, answer, (*skipped, *left_out), needs_you=bool(needing)
    )
