"""The cookie of a sign-in at the OpenID provider, between its start and its end."""

import base64
import binascii
import re

from msgspec import Struct
from starlette.requests import Request

from tagboat.core.oidc import SignInAttempt
from tagboat.web.security import own_path

_ATTEMPT_S = 600
"""Seconds that a person has to sign in at the provider."""
_MAX_KEPT_PATH = 2_000
_ATTEMPT_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class OidcCookie(Struct, frozen=True):
    """The cookie of a server; it is `secure` where the public URL is https.

    It holds the secret of the attempt and the page to go to afterwards, and no other secret: what
    a person does to their own cookie can only make their own sign-in fail.
    """

    secure: bool

    @property
    def name(self) -> str:
        """The cookie's name."""
        return "__Host-tagboat-oidc" if self.secure else "tagboat-oidc"

    def set_header(self, attempt: SignInAttempt, path: str) -> tuple[bytes, bytes]:
        """Return the header that gives a browser the attempt and the page to go to."""
        # Browsers drop a cookie of more than 4 KiB, and the sign-in would fail for it.
        kept = path if len(path) <= _MAX_KEPT_PATH else "/"
        encoded = base64.urlsafe_b64encode(kept.encode()).rstrip(b"=").decode("ascii")
        return self._header(f"{attempt.secret}.{encoded}", _ATTEMPT_S)

    def clear_header(self) -> tuple[bytes, bytes]:
        """Return the header that takes the attempt away: it counts once."""
        return self._header("", 0)

    def read(self, request: Request) -> tuple[SignInAttempt, str] | None:
        """Return the attempt of this browser and the page to go to, None without one."""
        secret, _, encoded = request.cookies.get(self.name, "").partition(".")
        if not _ATTEMPT_SECRET.fullmatch(secret):
            return None
        try:
            path = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except (binascii.Error, ValueError):
            path = "/"
        return SignInAttempt(secret), own_path(path)

    def _header(self, value: str, max_age_s: int) -> tuple[bytes, bytes]:
        secure = "; Secure" if self.secure else ""
        # Lax: the browser comes back from another site.
        line = f"{self.name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
        return b"set-cookie", line.encode("ascii")
