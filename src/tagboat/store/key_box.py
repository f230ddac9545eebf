"""The encryption key under a passphrase: scrypt (RFC 7914) and AES-256-GCM."""

import base64
import hashlib
import json
import secrets

from tagboat.core.errors import InvalidValueError

# 64 MB and some tenths of a second for each try.
_COST, _BLOCK, _LANES = 1 << 16, 8, 1
_MOST_COST = 1 << 20
"""A box that asks for more was not made by Tagboat, and would take all memory."""
_SALT_BYTES, _BOX_NONCE_BYTES = 16, 12
_PURPOSE = b"tagboat backup key"


def lock_key(key: bytes, passphrase: str) -> str:
    """Encrypt a key with a passphrase; return a JSON document with all that opening needs."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 9 MB

    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_BOX_NONCE_BYTES)
    sealed = AESGCM(_derive(passphrase, salt, _COST)).encrypt(nonce, key, _PURPOSE)
    box = {"kdf": "scrypt", "n": _COST, "r": _BLOCK, "p": _LANES}
    parts = {"salt": salt, "nonce": nonce, "sealed": sealed}
    return json.dumps(box | {name: base64.b64encode(part).decode() for name, part in parts.items()})


def unlock_key(box: str, passphrase: str) -> bytes:
    """Return the key of `lock_key`. Raises InvalidValueError for a wrong passphrase."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        read = json.loads(box)
        cost = int(read["n"])
        known = (read["kdf"], read["r"], read["p"]) == ("scrypt", _BLOCK, _LANES)
        salt, nonce, sealed = (
            base64.b64decode(read[name], validate=True) for name in ("salt", "nonce", "sealed")
        )
    except (ValueError, KeyError, TypeError):
        known = False
    if not known or not 1 < cost <= _MOST_COST or cost & (cost - 1):
        raise InvalidValueError("its key is encrypted in a way that this version does not know")
    try:
        return AESGCM(_derive(passphrase, salt, cost)).decrypt(nonce, sealed, _PURPOSE)
    except (InvalidTag, ValueError):
        raise InvalidValueError("the passphrase is wrong") from None


def _derive(passphrase: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(
        passphrase.encode(),
        salt=salt,
        n=cost,
        r=_BLOCK,
        p=_LANES,
        # OpenSSL's own limit is below what the cost above needs.
        maxmem=256 * _BLOCK * cost,
        dklen=32,
    )
