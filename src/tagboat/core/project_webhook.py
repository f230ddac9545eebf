"""Webhook URLs of projects, and the signatures that calls may need."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class SignatureKind(StrEnum):
    """The proof that a sender knows a shared secret, in addition to the URL's.

    `hmac-sha256`: Gitea, Forgejo, GitHub. `hmac-sha1`: Nexus. `header`: the secret itself in a
    header, as Harbor (`Authorization`) and JFrog (`X-JFrog-Event-Auth`) send it.
    """

    HMAC_SHA256 = "hmac-sha256"
    HMAC_SHA1 = "hmac-sha1"
    HEADER = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The signature that each call of a webhook URL must have.

    `header` is the header's name in lower case, used by the kind `header` only.
    """

    kind: SignatureKind
    secret: str = field(repr=False)
    header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectWebhook:
    """A webhook URL that accepts pushes of one project's image only.

    `secret_hash` is `hash_secret` of the secret in its URL.
    """

    id: str
    project_id: str
    name: str
    secret_hash: str = field(repr=False)
    signature: Signature | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyedHash:
    """HMAC-SHA-256 of a secret, under a key that is not in the database.

    Access to the database alone does not suffice to make one that matches a chosen secret.
    """

    key: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, key: bytes, secret: str) -> "KeyedHash":
        """Return the hash of `secret` under `key`."""
        return cls(key, hmac.digest(key, secret.encode("utf-8", "surrogateescape"), "sha256"))

    def matches(self, offered: str) -> bool:
        """Return whether `offered` is the secret, compared in constant time."""
        return hmac.compare_digest(self.digest, KeyedHash.of(self.key, offered).digest)


WebhookAccess = tuple[KeyedHash | None, Signature | None]
"""What the global URL needs: the hash of its secret, None before it was made; its signature."""


def hash_secret(secret: str) -> str:
    """Return SHA-256 in hexadecimal: enough for random UUIDs, which nobody can guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
