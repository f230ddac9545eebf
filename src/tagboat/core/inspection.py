"""What a project takes from its image: port and healthcheck."""

from tagboat.core.image import ImageInfo

PORT_LABEL = "tagboat.port"
HEALTHCHECK_LABEL = "tagboat.healthcheck"
MAX_PORT = 65535
MAX_HEALTHCHECK_LENGTH = 1024
"""Characters, whoever says it."""
_PORT_DIGITS = 5


def port_of(info: ImageInfo) -> int:
    """The port the image's label names, else its lowest exposed TCP port, else 0. A label that is no port is ignored."""
    label = info.labels.get(PORT_LABEL, "")
    if (
        label.isascii()
        and label.isdigit()
        and len(label) <= _PORT_DIGITS
        and int(label) <= MAX_PORT
    ):
        return int(label)
    return min(info.tcp_ports, default=0)


def healthcheck_of(info: ImageInfo) -> str:
    """The label's healthcheck where it is one, else `image` where the image has a HEALTHCHECK, else empty."""
    label = info.labels.get(HEALTHCHECK_LABEL)
    if label is not None and is_healthcheck(label):
        return label
    return "image" if info.has_healthcheck else ""


def is_healthcheck(text: str) -> bool:
    """Whether `text` is `/path` (printable ASCII without spaces, at most 1,024 characters), `image` or empty."""
    if text in {"", "image"}:
        return True
    is_path = text.startswith("/") and len(text) <= MAX_HEALTHCHECK_LENGTH
    return is_path and text.isascii() and text.isprintable() and " " not in text
