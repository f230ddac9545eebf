"""Port, healthcheck and protocol of an image, used where no person has set them. Pure."""

from collections.abc import Callable

from tagboat.core.catalog import Project
from tagboat.core.image import ImageInfo
from tagboat.core.inspection import (
    HEALTHCHECK_LABEL,
    PORT_LABEL,
    healthcheck_of,
    is_healthcheck,
    is_port,
    port_of,
)
from tagboat.core.protocol import PROTOCOL_LABEL, is_protocol, protocol_of
from tagboat.core.run import RunConfig
from tagboat.core.values import replace

_LONGEST_LABEL = 60
_NATIVE = {
    "amd64": frozenset({"amd64", "386"}),
    "arm64": frozenset({"arm64", "arm"}),
}
"""Processors by the one that runs them without emulation; variants count as the same."""


def follow(project: Project, info: ImageInfo) -> Project:
    """Return the project with what its image says, where no person has said otherwise."""
    return replace(
        project,
        port=project.port if project.port_set else port_of(info),
        healthcheck=project.healthcheck if project.healthcheck_set else healthcheck_of(info),
        protocol=project.protocol if project.protocol_set else protocol_of(info.labels),
        inspected=True,
    )


def followed(config: RunConfig, project: Project, info: ImageInfo) -> RunConfig:
    """Return the configuration for containers of an image whose description is `info`."""
    wanted = follow(project, info)
    return replace(
        config, port=wanted.port, healthcheck=wanted.healthcheck, protocol=wanted.protocol
    )


def unusable_labels(project: Project, info: ImageInfo) -> str:
    """Return words for the image's labels that the project would follow, and cannot be used.

    Empty where there are none.
    """
    rules: tuple[tuple[str, bool, Callable[[str], bool], str], ...] = (
        (PORT_LABEL, project.port_set, is_port, "a port"),
        (HEALTHCHECK_LABEL, project.healthcheck_set, is_healthcheck, "/path or image"),
        (PROTOCOL_LABEL, project.protocol_set, is_protocol, "http, h2c or https"),
    )
    return "; ".join(
        f"the image's label {name} is {info.labels[name][:_LONGEST_LABEL]!r} and not {wanted}: it"
        " is left out of account"
        for name, is_set, fits, wanted in rules
        if not is_set and info.labels.get(name) and not fits(info.labels[name])
    )


def live_reason(tag: str, port: int, project: str, *, port_set: bool) -> str:
    """Return the reason of a deploy that made `tag` live; without a port it gets no requests."""
    if port:
        return f"{tag} is live"
    command = f"'tagboat projects edit {project} --port N'"
    mend = (
        f"set it with {command}"
        if port_set
        else f"EXPOSE one in the image, or set it with {command}"
    )
    return f"{tag} is live, but has no port, so it has no address; {mend}, then deploy again"


def foreign(image_platform: str, engine_platform: str) -> str:
    """Return words for an image of another platform than the engine's.

    Empty where they fit, and where one of them is not known.
    """
    system, _, processor = image_platform.partition("/")
    own_system, _, own_processor = engine_platform.partition("/")
    fits = system == own_system and processor in _NATIVE.get(own_processor, {own_processor})
    if fits or not image_platform or not engine_platform:
        return ""
    return (
        f"the image is built for {image_platform}, this engine is {engine_platform}: build it for"
        f" that platform (docker build --platform {engine_platform}), unless the machine emulates"
        " the other (binfmt)"
    )
