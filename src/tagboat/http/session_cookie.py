"""The cookie of a session, and the token that its forms carry."""

import hashlib
import hmac
import re

from msgspec import Struct
from starlette.types import Scope

CSRF = "tagboat.csrf"
"""The key of the token that forms of the session carry, in the scope of a call with a session."""
_MAX_AGE_S = 30 * 24 * 3600
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class SessionCookie(Struct, frozen=True):
    """The cookie of a server. Over TLS its name lets no other host, path or scheme set it.

    `secure` is True where the public URL is https (RFC 6265bis, section 4.1.3.2).
    """

    secure: bool

    @property
    def name(self) -> str:
        """The cookie's name."""
        return "__Host-tagboat" if self.secure else "tagboat"

    def read(self, scope: Scope) -> str:
        """Return the secret in the cookie of a call; empty where there is none."""
        wanted = f"{self.name}="
        for header, value in scope["headers"]:
            if header != b"cookie":
                continue
            for pair in value.decode("latin-1").split(";"):
                secret: str = pair.strip().removeprefix(wanted)
                # Other cookies of this host are not ours, nor is what does not look like it.
                if pair.strip().startswith(wanted) and _SECRET.fullmatch(secret):
                    return secret
        return ""

    def set_header(self, secret: str) -> tuple[bytes, bytes]:
        """Return the header that gives a browser the cookie."""
        return self._header(secret, _MAX_AGE_S)

    def clear_header(self) -> tuple[bytes, bytes]:
        """Return the header that takes the cookie away."""
        return self._header("", 0)

    def _header(self, secret: str, max_age_s: int) -> tuple[bytes, bytes]:
        secure = "; Secure" if self.secure else ""
        value = f"{self.name}={secret}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
        return b"set-cookie", value.encode()


def csrf_token(secret: str) -> str:
    """Return the token of a session's forms: who has it has seen a page of that session."""
    # From the cookie's secret, which only browser and server have at hand: nothing is stored.
    return hmac.new(secret.encode(), b"tagboat csrf", hashlib.sha256).hexdigest()
