"""Authentication of webhook calls: the URL that a secret opens, and the signature it asks for."""

import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from tagboat.batched_calls import BatchedCalls
from tagboat.core.errors import NotFoundError
from tagboat.core.ports import Reader, Store, Topic
from tagboat.core.project_webhook import KeyedHash, ProjectWebhook, Signature, hash_secret
from tagboat.core.rate import Bucket, Rate
from tagboat.core.values import replace
from tagboat.intake.intake import Confirmation, is_certain

# Reads of a shared database for secrets that were wrong at the last look.
UNKNOWN = Rate(per_s=5, burst=50)


class Access(Struct, frozen=True):
    """The URL that a correct secret opens: the global one (`hook` is None), or a project's own."""

    hook: ProjectWebhook | None
    signature: Signature | None

    @property
    def hook_id(self) -> str | None:
        """The id of the project's webhook, None for the global URL."""
        return self.hook.id if self.hook else None


class _Known(Struct, frozen=True):
    secret: KeyedHash
    everywhere: Access
    hooks: Mapping[str, Access] = field(default_factory=dict)


class AccessCheck:
    """Compares secrets with the current ones.

    They are cached. If other servers can change them too, what the cache says holds only until
    `confirmation` says otherwise, in the transaction that acts on the call: so a secret regenerated
    by another server stops working at once, and no call needs a read of its own. Secrets that do
    not match the cache are looked up in the database only at the rate `UNKNOWN`: strangers cannot
    keep it busy.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listening = False
        self._known: _Known | None = None
        self._changes = 0
        self._unknown = Bucket(UNKNOWN.burst)
        self._checks = BatchedCalls[tuple[Access, str], Access | None](
            lambda asked: store.read(lambda reader: _still_opened(reader, asked))
        )
        self._loads = BatchedCalls[None, _Known](self._load_for)

    async def find(self, offered: str) -> Access | None:
        """Return what `offered` opens, None if nothing; compared in constant time.

        Raises StoreUnavailableError where it has to be looked up and cannot be.
        """
        known = self._known
        if known is None:
            return _opened(await self._loads.ask(None), offered)
        access = _opened(known, offered)
        if access is not None or self._store.exclusive:
            return access
        if self._unknown.wait(UNKNOWN, time.monotonic()):
            return None
        self._unknown.tokens -= 1
        return _opened(await self._loads.ask(None), offered)

    def confirmation(self, offered: str, access: Access) -> Confirmation:
        """Return what tells a transaction whether `offered`, which opened `access`, still does."""
        # No other server can have changed a secret.
        if self._store.exclusive:
            return is_certain
        return lambda reader: _still_opened(reader, [(access, offered)]) == [access]

    async def find_anew(self, offered: str, access: Access) -> Access | None:
        """Return what `offered`, which opened `access`, opens now: one read for all who ask.

        Raises StoreUnavailableError.
        """
        if self._store.exclusive:
            return access
        now = await self._checks.ask((access, offered))
        # Another call may have found out already, and what is known since then holds.
        if now != access and self._known and _opened(self._known, offered) == access:
            self._forget()
        return now

    def _forget(self) -> None:
        self._known = None
        self._changes += 1

    async def _load_for(self, asked: Sequence[None]) -> Sequence[_Known]:
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self._forget)
            self._listening = True
        changes = self._changes
        known = await self._store.read(
            lambda reader: replace(
                _read_global(reader),
                hooks={hook.secret_hash: Access(hook, hook.signature) for hook in reader.hooks()},
            )
        )
        # After a change in between, the values read may be the old ones.
        if changes == self._changes:
            self._known = known
        return [known] * len(asked)


def _opened(known: _Known, offered: str) -> Access | None:
    if known.secret.matches(offered):
        return known.everywhere
    # Looked up by hash: timing can reveal parts of the hash only, not of the secret.
    return known.hooks.get(hash_secret(offered))


def _still_opened(reader: Reader, asked: Sequence[tuple[Access, str]]) -> Sequence[Access | None]:
    """Return what secrets open now, each of which has opened the access next to it."""
    everywhere = _read_global(reader)
    # Of the webhooks, those are read that are asked about, however many there are.
    hooks: dict[str, Access] = {}
    for hook_id in {access.hook_id for access, _ in asked} - {None}:
        with contextlib.suppress(NotFoundError):
            hook = reader.hook(hook_id or "")
            hooks[hook.secret_hash] = Access(hook, hook.signature)
    known = replace(everywhere, hooks=hooks)
    return [_opened(known, offered) for _, offered in asked]


def _read_global(reader: Reader) -> _Known:
    # A store that has no secret yet accepts nothing: a random one, used once, matches no caller.
    secret, signature = reader.webhook_access()
    return _Known(secret or KeyedHash.of(b"", secrets.token_urlsafe()), Access(None, signature))
