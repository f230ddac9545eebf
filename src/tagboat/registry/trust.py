"""Whose certificates are trusted: the system's authorities, and for one registry those that somebody named for it."""

import re
import ssl

from tagboat.core.errors import InvalidValueError

_BEGIN = "-----BEGIN CERTIFICATE-----"
_BLOCK = re.compile(rf"{_BEGIN}[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----", re.ASCII)
_MAX_PEM = 256 * 1024
_MAX_KEPT = 64


def trusting(ca_cert: str) -> ssl.SSLContext:
    """A client's TLS context that trusts `ca_cert` (PEM, one certificate or more) beside the system's authorities.

    Names and dates are always checked. Raises InvalidValueError that says what is wrong with `ca_cert`.
    """
    if len(ca_cert) > _MAX_PEM:
        raise InvalidValueError(
            f"the CA certificate has more than {_MAX_PEM} characters: give only those that are needed"
        )
    if "PRIVATE KEY-----" in ca_cert:
        raise InvalidValueError(
            "the CA certificate comes with a private key: leave the key out, it must not be known here"
        )
    if _BEGIN not in ca_cert:
        raise InvalidValueError(f"the CA certificate is not in PEM: it must begin with {_BEGIN}")
    context = ssl.create_default_context()
    # Lets somebody name an intermediate authority, or the registry's own certificate, without the root above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        # Bundles have comments around their blocks, in any language; the library takes none that is not ASCII.
        context.load_verify_locations(cadata="\n".join(_blocks(ca_cert)))
    except (ssl.SSLError, ValueError):
        raise InvalidValueError(
            f"the CA certificate cannot be read: whole PEM blocks are expected, from {_BEGIN} to its END"
        ) from None
    return context


def _blocks(ca_cert: str) -> list[str]:
    blocks = _BLOCK.findall(ca_cert)
    if len(blocks) != ca_cert.count(_BEGIN):
        raise ValueError(_BEGIN)
    return blocks


class Contexts:
    """The TLS contexts in use, by the PEM text of what they trust beside the system's authorities.

    `default` is for those that name nothing; None is the library's own.
    """

    def __init__(self, default: ssl.SSLContext | None) -> None:
        self._default = default
        self._made: dict[str, ssl.SSLContext] = {}

    def get(self, ca_cert: str) -> ssl.SSLContext | None:
        """The context for `ca_cert`, always the same one, so that connections can be used again. Raises InvalidValueError."""
        if not ca_cert.strip():
            return self._default
        if ca_cert not in self._made:
            while len(self._made) >= _MAX_KEPT:
                del self._made[next(iter(self._made))]
            self._made[ca_cert] = trusting(ca_cert)
        return self._made[ca_cert]
