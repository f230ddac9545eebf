"""The sentences about an image that is to become a project."""

from collections.abc import Iterable

from tagboat.operations.queries.image_look import ImageLook, TagMatches

_NAMES_SHOWN = 8


def matches_sentence(matches: TagMatches) -> str:
    """Return how many tags of the registry a pattern takes."""
    if matches.error:
        return f"The tags cannot be read: {matches.error}."
    if not matches.tags:
        return "The registry has no tag of this image yet. The first push decides."
    if not matches.matching:
        return f"No tag of {matches.tags} matches: nothing would be deployed."
    if matches.matching == matches.tags:
        return f"All {matches.tags} tags match." if matches.tags > 1 else "The only tag matches."
    return f"{matches.matching} of {matches.tags} tags match."


def found_sentences(look: ImageLook) -> tuple[str, ...]:
    """Return what the image asks for, a sentence each."""
    info = look.info
    if info is None:
        return (f"The image could not be read: {look.error}. Its first deploy finds the rest.",)
    port = (
        f"It listens on port {look.port}."
        if look.port
        else "It names no port: without one it gets no address."
    )
    checks = {"": "It has no health check.", "image": "It has a HEALTHCHECK of its own."}
    said = [port, checks.get(look.healthcheck, f"It wants to be checked at {look.healthcheck}.")]
    if names := env_names(info.env):
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        said.append(f"It sets {', '.join(names[:_NAMES_SHOWN])}{more}.")
    if info.volumes:
        paths = ", ".join(info.volumes)
        said.append(f"It keeps data in {paths}: those become lasting volumes.")
    return tuple(said)


def env_names(pairs: Iterable[str]) -> tuple[str, ...]:
    """Return the names of an image's ENVs but those that every image has."""
    names = (pair.partition("=")[0] for pair in pairs)
    return tuple(name for name in names if name and name not in {"PATH", "HOME", "HOSTNAME"})
