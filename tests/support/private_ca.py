"""A certificate authority of the tests' own, that no machine trusts by itself."""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """PEM files of a certificate (those it depends on below it) and of its key."""

    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class PrivateCa:
    """Makes certificates for addresses of this machine. `pem` is its own, which is to be
    trusted.
    """

    def __init__(self, folder: Path, name: str = "Tests' private CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        authority = x509.BasicConstraints(ca=True, path_length=0)
        built = self._builder(self._name, self._key.public_key()).add_extension(
            authority, critical=True
        )
        self.pem = (
            built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        )
        self.path = folder / "ca.pem"
        self.path.write_text(self.pem)

    def issue(
        self, name: str, *, address: str = "127.0.0.1", names: Sequence[str] = (), days: int = 1
    ) -> Certificate:
        """Make a certificate for an address and for host `names`; negative `days` make one that
        has expired. `name` is that of its files.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        held = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(address)), *map(x509.DNSName, names)]
        )
        built = self._builder(subject, key.public_key(), days).add_extension(held, critical=False)
        made = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        made.chain.write_bytes(
            built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(days=3)).not_valid_after(
            now + timedelta(days=days)
        )
