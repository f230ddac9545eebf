"""Whether a call bears the signature that its webhook URL asks for."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping

from tagboat.core.project_webhook import Signature, SignatureKind

# JFrog's header holds the secret itself, or a signature, whichever is chosen there.
_SHA256_HEADERS = (
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gogs-signature",
    "x-hub-signature-256",
    "x-jfrog-event-auth",
)
_SHA1_HEADERS = ("x-nexus-webhook-signature", "x-hub-signature")


def is_signed(signature: Signature, headers: Mapping[str, str], *bodies: bytes) -> bool:
    """Whether one of `bodies` is signed as asked; names of `headers` are in lower case.

    They are what was sent, what that is once unpacked, and the JSON of a form's field `payload`: GitHub signs the form, Gitea
    that JSON. The time taken says nothing of how much of a signature is right.
    """
    if signature.kind is SignatureKind.HEADER:
        offered = headers.get(signature.header, "").strip().removeprefix("Bearer ")
        return hmac.compare_digest(
            offered.encode("utf-8", "surrogateescape"), signature.secret.encode()
        )
    algorithm, names = (
        (hashlib.sha256, _SHA256_HEADERS)
        if signature.kind is SignatureKind.HMAC_SHA256
        else (hashlib.sha1, _SHA1_HEADERS)
    )
    wanted = [
        hmac.new(signature.secret.encode(), body, algorithm).hexdigest().encode() for body in bodies
    ]
    offered_all = list(_offered(headers, names))
    matches = [hmac.compare_digest(right, offer) for right in wanted for offer in offered_all]
    return any(matches)


def _offered(headers: Mapping[str, str], names: tuple[str, ...]) -> Iterator[bytes]:
    """What the call offers, in lower case and without the algorithm's name in front."""
    for name in names:
        if value := headers.get(name):
            yield value.rpartition("=")[2].strip().lower().encode("utf-8", "surrogateescape")
