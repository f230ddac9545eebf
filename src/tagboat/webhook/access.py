"""Which webhook URL a secret opens, and what its calls must be signed with."""

import asyncio
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from tagboat.core.hook import Hook, Signature, hash_secret
from tagboat.core.ports import Reader, Store, Topic
from tagboat.webhook.secret import read_secret

WRONG_EVERY_S = 0.01
"""Seconds for which secrets that are hardly right are gathered, to be looked up by one read."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a right secret opens: the global URL (`hook` is None), or a project's own."""

    hook: Hook | None
    signature: Signature | None

    @property
    def hook_id(self) -> str | None:
        """The id of the project's own hook, None for the global URL."""
        return self.hook.id if self.hook else None


@dataclass(frozen=True, slots=True)
class _Known:
    secret: bytes
    everywhere: Access
    hooks: Mapping[str, Access]


class AccessCheck:
    """Compares secrets with those in force.

    Where nobody else can change them they are remembered. Else each is compared with what a read says that began after it was
    offered, so that one that was made anew elsewhere is dead at once. By what was read last the likely right ones are told,
    which are read for at once; of the others any number share one read in `WRONG_EVERY_S`, so that strangers do not keep the
    database busy.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listening = False
        self._known: _Known | None = None
        self._changes = 0
        self._sharing: dict[float, asyncio.Task[_Known]] = {}

    async def find(self, offered: str) -> Access | None:
        """What `offered` opens, None for nothing; the time taken says nothing of how much of it is right."""
        if not self._store.exclusive:
            pause_s = WRONG_EVERY_S if self._known is not None and _opened(self._known, offered) is None else 0.0
            self._known = known = await self._shared_read(pause_s)
        else:
            known = self._known or await self._load()
        return _opened(known, offered)

    async def _shared_read(self, pause_s: float) -> _Known:
        """What a read says that begins in `pause_s` seconds, for all who ask before that."""
        if pause_s not in self._sharing:
            self._sharing[pause_s] = asyncio.create_task(self._read_later(pause_s))
        return await asyncio.shield(self._sharing[pause_s])

    async def _read_later(self, pause_s: float) -> _Known:
        await asyncio.sleep(pause_s)
        del self._sharing[pause_s]  # who asks from now on may know of a later change
        return await self._store.read(_read)

    async def _load(self) -> _Known:
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self._forget)
            self._listening = True
        changes = self._changes
        known = await self._store.read(_read)
        if changes == self._changes:  # else what was read may be the old one
            self._known = known
        return known

    def _forget(self) -> None:
        self._known = None
        self._changes += 1


def _opened(known: _Known, offered: str) -> Access | None:
    if hmac.compare_digest(known.secret, offered.encode("utf-8", "surrogateescape")):
        return known.everywhere
    # By its hash: how long it takes to find says something of the hash at most, from which no secret can be made.
    return known.hooks.get(hash_secret(offered))


def _read(reader: Reader) -> _Known:
    # A store that has no secret yet accepts nothing: a fresh one is compared with, and thrown away.
    secret = (read_secret(reader) or str(uuid.uuid4())).encode()
    hooks = {hook.secret_hash: Access(hook, hook.signature) for hook in reader.hooks()}
    return _Known(secret, Access(None, reader.webhook_signature()), hooks)
