"""Values that a project takes from its image: port and healthcheck."""

from tagboat.core.image import ImageInfo

PORT_LABEL = "tagboat.port"
HEALTHCHECK_LABEL = "tagboat.healthcheck"
MAX_PORT = 65535
# Characters, of a label as of the API.
MAX_HEALTHCHECK_LENGTH = 1024
_PORT_DIGITS = 5


def port_of(info: ImageInfo) -> int:
    """Return the port of the label `tagboat.port`, else the lowest exposed TCP port, else 0.

    A label that is not a port is ignored.
    """
    label = info.labels.get(PORT_LABEL, "")
    return int(label) if is_port(label) else min(info.tcp_ports, default=0)


def is_port(text: str) -> bool:
    """Return whether `text` is a port, 0 to 65535, in ASCII digits."""
    # int() would also accept other digits, signs and underscores.
    is_short = text.isascii() and text.isdigit() and len(text) <= _PORT_DIGITS
    return is_short and int(text) <= MAX_PORT


def healthcheck_of(info: ImageInfo) -> str:
    """Return the label's healthcheck; else `image` if the image has a HEALTHCHECK, else empty."""
    label = info.labels.get(HEALTHCHECK_LABEL)
    if label is not None and is_healthcheck(label):
        return label
    return "image" if info.has_healthcheck else ""


def is_healthcheck(text: str) -> bool:
    """Return whether `text` is `/path`, `image` or empty.

    A path is printable ASCII without spaces, at most 1,024 characters.
    """
    if text in {"", "image"}:
        return True
    is_path = text.startswith("/") and len(text) <= MAX_HEALTHCHECK_LENGTH
    return is_path and text.isascii() and text.isprintable() and " " not in text
