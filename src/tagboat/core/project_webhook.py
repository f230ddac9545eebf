"""Webhook URLs, and the signatures that their senders may have to give."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class SignatureKind(StrEnum):
    """How a sender proves that it knows a shared secret, beside the URL's own.

    `hmac-sha256`: Gitea, Forgejo, GitHub. `hmac-sha1`: Nexus. `header`: the secret itself in a header, as Harbor
    (`Authorization`) and JFrog (`X-JFrog-Event-Auth`) send it.
    """

    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA1 = "hmac-sha1"
    HEADER = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What every call of a webhook URL must be signed with. `header` is the header's name in lower case, of `header` alone."""

    kind: SignatureKind
    secret: str = field(repr=False)
    header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectWebhook:
    """A webhook URL that takes news of one project's image only. `secret_hash` is `hash_secret` of the secret in its URL."""

    id: str
    project_id: str
    name: str
    secret_hash: str = field(repr=False)
    signature: Signature | None = None
    created_at: datetime


def hash_secret(secret: str) -> str:
    """SHA-256 in hexadecimal: the secrets are random UUIDs, which nobody can find by trying."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
