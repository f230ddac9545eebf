"""Which webhook URL a secret opens, and what its calls must be signed with."""

import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from tagboat.core.hook import Hook, Signature, hash_secret
from tagboat.core.ports import Reader, Store, Topic
from tagboat.webhook.secret import read_secret


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
    """Compares secrets with those in force, which are remembered only where nobody else can change them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listening = False
        self._known: _Known | None = None
        self._changes = 0

    async def find(self, offered: str) -> Access | None:
        """What `offered` opens, None for nothing; the time taken says nothing of how much of it is right."""
        known = self._known or await self._load()
        if hmac.compare_digest(known.secret, offered.encode("utf-8", "surrogateescape")):
            return known.everywhere
        # By its hash: how long it takes to find says something of the hash at most, from which no secret can be made.
        return known.hooks.get(hash_secret(offered))

    async def _load(self) -> _Known:
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self._forget)
            self._listening = True
        changes = self._changes
        known = await self._store.read(_read)
        if self._store.exclusive and changes == self._changes:  # else what was read may be the old one
            self._known = known
        return known

    def _forget(self) -> None:
        self._known = None
        self._changes += 1


def _read(reader: Reader) -> _Known:
    # A store that has no secret yet accepts nothing: a fresh one is compared with, and thrown away.
    secret = (read_secret(reader) or str(uuid.uuid4())).encode()
    hooks = {hook.secret_hash: Access(hook, hook.signature) for hook in reader.hooks()}
    return _Known(secret, Access(None, reader.webhook_signature()), hooks)
