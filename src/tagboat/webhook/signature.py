"""Verification of the signature that a webhook URL asks for."""

import hashlib
import hmac
from collections.abc import Mapping

from tagboat.core.project_webhook import Signature, SignatureKind

# JFrog's header holds the secret itself or a signature, as chosen in JFrog.
_SHA256_HEADERS = (
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gogs-signature",
    "x-hub-signature-256",
    "x-jfrog-event-auth",
)
_SHA1_HEADERS = ("x-nexus-webhook-signature", "x-hub-signature")


def is_signed(signature: Signature, headers: Mapping[str, str], *bodies: bytes) -> bool:
    """Return whether one of `bodies` is signed as required, compared in constant time.

    Names of `headers` are in lower case. The bodies are the one sent, the same decompressed, and
    the JSON of a form's field `payload`: GitHub signs the form, Gitea that JSON.
    """
    if signature.kind is SignatureKind.HEADER:
        # Harbor lets people write the whole header, often with the scheme in front.
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
    # Senders write the algorithm in front ("sha256=…") or not, and hex digits in either case.
    offered_all = [
        value.rpartition("=")[2].strip().lower().encode("utf-8", "surrogateescape")
        for name in names
        if (value := headers.get(name))
    ]
    # All are compared, so that the time does not depend on which one matches.
    matches = [hmac.compare_digest(right, offer) for right in wanted for offer in offered_all]
    return any(matches)
