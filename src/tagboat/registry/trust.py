"""Trusted certificates: the system's authorities, plus those configured for one registry."""

import re
import ssl

from tagboat.core.errors import InvalidValueError

_BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_PEM_BLOCK = re.compile(
    rf"{_BEGIN_CERTIFICATE}[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----", re.ASCII
)
_MAX_PEM = 256 * 1024
_MAX_CONTEXTS = 64


def trust_context(ca_cert: str) -> ssl.SSLContext:
    """Return a client's TLS context that trusts `ca_cert` as well as the system's authorities.

    `ca_cert` is PEM, one certificate or more. Names and dates are always checked. Raises
    InvalidValueError that says what is wrong with `ca_cert`.
    """
    if len(ca_cert) > _MAX_PEM:
        raise InvalidValueError(
            f"the CA certificate has more than {_MAX_PEM} characters: "
            "give only those that are needed"
        )
    if "PRIVATE KEY-----" in ca_cert:
        raise InvalidValueError(
            "the CA certificate comes with a private key: leave the key out, "
            "it must not be known here"
        )
    if _BEGIN_CERTIFICATE not in ca_cert:
        raise InvalidValueError(
            f"the CA certificate is not in PEM: it must begin with {_BEGIN_CERTIFICATE}"
        )
    context = ssl.create_default_context()
    # Lets a user name an intermediate authority, or the registry's own certificate, without a root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    blocks = _PEM_BLOCK.findall(ca_cert)
    is_readable = len(blocks) == ca_cert.count(_BEGIN_CERTIFICATE)
    try:
        # Bundles have comments around their blocks, and the library refuses any that is not ASCII.
        context.load_verify_locations(cadata="\n".join(blocks))
    except (ssl.SSLError, ValueError):
        is_readable = False
    if not is_readable:
        raise InvalidValueError(
            "the CA certificate cannot be read: whole PEM blocks are expected, "
            f"from {_BEGIN_CERTIFICATE} to its END"
        )
    return context


class TrustContexts:
    """TLS contexts by the PEM text of the certificates that they trust as well.

    `default` is for registries without one; None is the library's own.
    """

    def __init__(self, default: ssl.SSLContext | None) -> None:
        self._default = default
        self._made: dict[str, ssl.SSLContext] = {}

    def get(self, ca_cert: str) -> ssl.SSLContext | None:
        """Return the context for `ca_cert`. Raises InvalidValueError."""
        if not ca_cert.strip():
            return self._default
        # Always the same context: connections are reused for an equal one only.
        if ca_cert not in self._made:
            while len(self._made) >= _MAX_CONTEXTS:
                del self._made[next(iter(self._made))]
            self._made[ca_cert] = trust_context(ca_cert)
        return self._made[ca_cert]
