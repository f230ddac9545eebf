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
    # int() would also accept other digits, signs and underscores.
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
