"""Passwords of registries that a command prints: kept while they are good, shared by all calls."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from copy import copy
from datetime import datetime, timedelta

import structlog
from msgspec import Struct

from tagboat.core.catalog import Registry
from tagboat.core.errors import PasswordCommandError, TagboatError
from tagboat.core.generics import T
from tagboat.core.registry_logins import WithLogin
from tagboat.core.values import replace
from tagboat.registry.login_service import keep_newest
from tagboat.registry.password_command import CommandedLogin, ask_command
from tagboat.registry.transport import Clock, utc_now
from tagboat.shared_calls import SharedCalls

EXPIRY_MARGIN = timedelta(seconds=10)
"""Time before a password expires from which it is not used any more."""
FAILURE_PAUSE = timedelta(seconds=10)
"""Time in which a command that has failed is not run again: a thousand projects may need it."""
RENEWAL_PAUSE = timedelta(minutes=1)
"""Time for which no password is renewed after a new one was refused: it is not the reason."""
FUTILE_PAUSE = timedelta(minutes=10)
"""Time for which a refusal that a new password did not end says nothing about passwords."""

AskCommand = Callable[[Registry, Mapping[str, str], Iterable[str]], Awaitable[CommandedLogin]]
"""Runs the password command of a registry; the last are secrets that are masked in errors."""

log = structlog.get_logger("tagboat.registries")


class _Key(Struct, frozen=True):
    """A registry and its command: after a change of either, the password is another one."""

    registry: str
    host: str
    command: str


class _Kept(Struct, frozen=True):
    login: CommandedLogin
    until: datetime

    def fill(self, registry: Registry) -> Registry:
        """Return the registry with this login."""
        login = self.login
        return replace(
            registry, username=login.username or registry.username, password=login.password
        )


class CommandedPasswords:
    """Implements `RegistryLogins` for registries with a password command.

    `environment` is all that the commands get.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        clock: Clock = utc_now,
        ask: AskCommand = ask_command,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._ask = ask
        self._kept: dict[_Key, _Kept] = {}
        self._failures: dict[_Key, tuple[datetime, PasswordCommandError]] = {}
        self._refused_new: dict[_Key, datetime] = {}
        self._futile: dict[tuple[_Key, str], datetime] = {}
        self._calls: SharedCalls[_Kept] = SharedCalls()

    async def use(
        self, registry: Registry | None, work: WithLogin[T], refused: type[TagboatError], what: str
    ) -> T:
        """Call `work` with the password; see `RegistryLogins`."""
        if registry is None or not registry.password_command or registry.password is not None:
            return await work(registry)
        key = _key_of(registry)
        before = self._valid(key)
        kept = before or await self._run(registry)
        try:
            result = await work(kept.fill(registry))
        except refused:
            # A password that was made for this call is not the reason, and no loop begins.
            if before is None:
                keep_newest(self._refused_new, key, self._clock())
                raise
            newer = await self._newer(registry, kept, what)
            if newer is None:
                raise
            try:
                return await work(newer.fill(registry))
            except refused:
                self._note_futile(key, what)
                raise
        self._futile.pop((key, what), None)
        return result

    async def renew(self, registry: Registry) -> Registry:
        """Run the command, whatever is kept, and return the registry with its password.

        Raises PasswordCommandError.
        """
        self._failures.pop(_key_of(registry), None)
        return (await self._run(registry)).fill(registry)

    async def _newer(self, registry: Registry, refused: _Kept, what: str) -> _Kept | None:
        """Return another password than the one that was refused, None if there is none."""
        key = _key_of(registry)
        if self._futile.get((key, what), self._clock()) > self._clock():
            return None
        # Another call may have renewed it since.
        kept = self._valid(key)
        if kept is None or kept.login == refused.login:
            refused_at = self._refused_new.get(key)
            # A hundred images that it may not read are no reason to run it a hundred times.
            if kept and refused_at and self._clock() < refused_at + RENEWAL_PAUSE:
                return None
            kept = await self._run(registry)
        if kept.login.password == refused.login.password:
            self._note_futile(key, what)
            return None
        return kept

    def _note_futile(self, key: _Key, what: str) -> None:
        keep_newest(self._refused_new, key, self._clock())
        keep_newest(self._futile, (key, what), self._clock() + FUTILE_PAUSE)

    def _valid(self, key: _Key) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept and kept.until > self._clock() else None

    async def _run(self, registry: Registry) -> _Kept:
        """Run the command, or wait for the run under way. Raises PasswordCommandError."""
        key = _key_of(registry)
        failed_at, failure = self._failures.get(key, (None, None))
        if failed_at and failure and self._clock() < failed_at + FAILURE_PAUSE:
            raise copy(failure)
        return await self._calls.call(key, lambda: self._run_now(key, registry))

    async def _run_now(self, key: _Key, registry: Registry) -> _Kept:
        # The lifetime counts from when the password was made, which is before it arrives.
        asked_at = self._clock()
        old = self._kept.get(key)
        secrets = [old.login.password] if old else []
        try:
            login = await self._ask(registry, self._environment, secrets)
        except PasswordCommandError as error:
            log.warning("no password", action="login", registry=registry.name, reason=str(error))
            keep_newest(self._failures, key, (self._clock(), error))
            raise
        self._failures.pop(key, None)
        until = asked_at + login.lifetime - min(EXPIRY_MARGIN, login.lifetime / 2)
        kept = _Kept(login, until)
        keep_newest(self._kept, key, kept)
        log.info("new password", action="login", registry=registry.name, until=until)
        return kept


def _key_of(registry: Registry) -> _Key:
    return _Key(registry.id, registry.host, registry.password_command)
