"""Passwords: hashed and verified with argon2id, in threads, few at once."""

import asyncio
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from tagboat.core.errors import TooManyAttemptsError
from tagboat.core.generics import T

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# OWASP's password storage cheat sheet: 19 MiB of memory, two passes, one lane.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
AT_ONCE = 2
"""Hashes that are computed at once: each takes 19 MiB and a core."""
MOST_IN_LINE = 50
"""Passwords that wait for their turn; more are refused."""
_BUSY_S = 5.0
# Of a random password that nobody has: verifying against it takes as long as against any other.
_NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$XXkAIP2v2+bvrf4tDoeA+A"
    "$yUcs01LMxPiuBuKfT1MfSufLbBjtAOuRnimMAOVJEM4"
)


class Passwords:
    """Hashes and verifies passwords. All calls raise TooManyAttemptsError where too many wait."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._in_line = 0

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a password, with a salt of its own."""
        return await self._run(lambda: _hash_password(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Return whether `hashed` is of the password; for None, False after the same time."""
        right = await self._run(lambda: _is_right(password, hashed or _NOBODYS))
        return right and hashed is not None

    async def renewed(self, password: str, hashed: str) -> str:
        """Return `hashed`, or a new hash where it was made with other parameters than today's."""
        return await self._run(
            lambda: _hash_password(password) if _hasher().check_needs_rehash(hashed) else hashed
        )

    async def _run(self, work: Callable[[], T]) -> T:
        if self._in_line >= MOST_IN_LINE:
            raise TooManyAttemptsError("too many sign-ins at once; try again in a moment", _BUSY_S)
        self._in_line += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._in_line -= 1


def _hash_password(password: str) -> str:
    return _hasher().hash(_password_bytes(password))


def _is_right(password: str, hashed: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415 - as below

    try:
        return bool(_hasher().verify(hashed, _password_bytes(password)))
    except (Argon2Error, InvalidHashError):
        return False


def _hasher() -> "PasswordHasher":
    # Loaded with the first password, not with the server: many servers never see one.
    from argon2 import PasswordHasher  # noqa: PLC0415 - as said

    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def _password_bytes(password: str) -> bytes:
    # The same letters can be typed in several forms, as on macOS (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
