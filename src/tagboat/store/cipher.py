"""Encryption at rest: AES-256-GCM, with the place of the value as associated data."""

import hashlib
import hmac
import secrets
from pathlib import Path

from tagboat.core.errors import SettingsError
from tagboat.private_files import write_private

KEY_BYTES = 32
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12


class Cipher:
    """Seals and opens secrets.

    A sealed value is KEY_ID (4 bytes), NONCE (12 bytes), ciphertext with its tag (RFC 5116).
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.key_id = hashlib.sha256(b"tagboat key id" + key).digest()[:_KEY_ID_BYTES]

    def hash_key(self, place: str) -> bytes:
        """Return the key for hashes of what is sealed for `place`. It says nothing of ours."""
        return hmac.digest(self._key, f"tagboat hash {place}".encode(), "sha256")

    def seal(self, secret: str, place: str) -> bytes:
        """Encrypt `secret` for `place`, such as `registry/ID/password`; it opens nowhere else."""
        # Loaded when there is a secret to keep: it is large, and many installations have none.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return (
            self.key_id + nonce + AESGCM(self._key).encrypt(nonce, secret.encode(), place.encode())
        )

    def open(self, sealed: bytes, place: str) -> str:
        """Decrypt what `seal` made for `place`. Raises SettingsError if another key sealed it."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as in `seal`
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        nonce_end = _KEY_ID_BYTES + _NONCE_BYTES
        try:
            return (
                AESGCM(self._key)
                .decrypt(sealed[_KEY_ID_BYTES:nonce_end], sealed[nonce_end:], place.encode())
                .decode()
            )
        except (InvalidTag, ValueError):
            # ValueError: it is too short to hold a nonce.
            raise SettingsError(
                f"a stored secret ({place}) was encrypted with another key; put the right"
                " encryption.key into the data directory"
            ) from None


def load_or_make_key(path: Path) -> bytes:
    """Return the key in the file `path` (hexadecimal, mode 0600), made if there is none yet.

    Raises SettingsError if it cannot be used.
    """
    if not path.exists():
        write_private(path, f"{secrets.token_hex(KEY_BYTES)}\n")
    return read_key(path)


def read_key(path: Path) -> bytes:
    """Return the key in the file `path`. Raises SettingsError if there is none."""
    try:
        key = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        raise SettingsError(
            f"the encryption key {path} is missing: restore it from a backup, or copy it from the"
            " data directory of another server (or replica) on the database"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"cannot read the encryption key {path}: {error.strerror}. Run Tagboat as the user that"
            " owns it"
        ) from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"the encryption key {path} is not {2 * KEY_BYTES} hexadecimal digits; restore it from"
            " a backup"
        )
    return key
