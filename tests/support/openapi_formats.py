"""Strategies for the formats of the published schema, loaded by schemathesis as hooks."""

from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.support import grammars


def _drawn(pattern: str, longest: int) -> st.SearchStrategy[str]:
    ascii_only = pattern.replace(r"[\p{L}\p{M}\p{N}\p{P}\p{S} ]", "[ -~]")
    expression = ascii_only.removesuffix("$") + r"\Z"
    return st.from_regex(expression).filter(lambda text: len(text) <= longest)


@schemathesis.hook
def before_call(_context: object, case: schemathesis.Case[Any], _options: object) -> None:
    """Drop the headers whose values depend on calls before."""
    for name in ("Idempotency-Key", "If-Match"):
        case.headers.pop(name, None)


_SHORT_IMAGE = 255 - len("docker.io/library/")
_PEM = ""  # a certificate cannot be drawn; none is one of the values

for name, strategy in {
    "image-name": _drawn(grammars.IMAGE_WITH_HOST, 255)
    | _drawn(grammars.IMAGE_WITHOUT_HOST, _SHORT_IMAGE),
    "image-reference": _drawn(grammars.REF_WITH_HOST, 255)
    | _drawn(grammars.REF_WITHOUT_HOST, _SHORT_IMAGE),
    "tag-pattern": _drawn(grammars.TAG_PATTERN, 200),
    "schedule": _drawn(grammars.SCHEDULE, 255),
    "image-glob": _drawn(grammars.IMAGE_GLOB, 255),
    "registry-url": _drawn(grammars.REGISTRY_URL, 255),
    "pem-certificates": st.just(_PEM),
    "memory": _drawn(grammars.MEMORY, 40),
    "signal": _drawn(grammars.SIGNAL, 40),
    "container-path": _drawn(grammars.VOLUME_PATH, 255),
    "network-name": _drawn(grammars.NETWORK, 128),
    "address": _drawn(grammars.EXTRA_ADDRESS, 64),
    "capability": _drawn(grammars.CAPABILITY, 64),
    "bind": _drawn(grammars.BIND, 255),
    "device": _drawn(grammars.DEVICE, 255),
    "published-port": _drawn(grammars.PUBLISHED, 64),
}.items():
    schemathesis.openapi.format(name, strategy)
