"""Which webhook URL a secret opens, and what its calls must be signed with."""

import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tagboat.core.errors import NotFoundError
from tagboat.core.ports import Reader, Store, Topic
from tagboat.core.project_webhook import ProjectWebhook, Signature, hash_secret
from tagboat.core.rate import Bucket, Rate
from tagboat.webhook.secret import read_secret

UNKNOWN = Rate(per_s=5, burst=50)
"""Secrets never heard of for which a database is read that others change as well."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a right secret opens: the global URL (`hook` is None), or a project's own."""

    hook: ProjectWebhook | None
    signature: Signature | None

    @property
    def hook_id(self) -> str | None:
        """The id of the project's own hook, None for the global URL."""
        return self.hook.id if self.hook else None


@dataclass(frozen=True, slots=True)
class _Known:
    secret: bytes
    everywhere: Access
    hooks: Mapping[str, Access] = field(default_factory=dict)


class AccessCheck:
    """Compares secrets with those in force.

    Where nobody else can change them they are remembered. Else each is compared with what is read then and there, so that one
    made anew elsewhere is dead at once. Only of a crowd of those that were wrong a moment ago most are not read for: strangers
    do not keep the database busy, and what was made elsewhere in the last fifth of a second can wait.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listening = False
        self._known: _Known | None = None
        self._changes = 0
        self._unknown = Bucket(UNKNOWN.burst)

    async def find(self, offered: str) -> Access | None:
        """What `offered` opens, None for nothing; the time taken says nothing of how much of it is right."""
        known = self._known
        if known is None:
            return _opened(await self._load(), offered)
        access = _opened(known, offered)
        if self._store.exclusive:
            return access
        if access is not None:
            return await self._store.read(lambda reader: _still_opened(reader, access, offered))
        return _opened(await self._load(), offered) if self._may_read() else None

    def _may_read(self) -> bool:
        """Whether it is to be read for one more secret that was wrong a moment ago; counted where it is."""
        if self._unknown.wait(UNKNOWN, time.monotonic()):
            return False
        self._unknown.tokens -= 1
        return True

    async def _load(self) -> _Known:
        if not self._listening:
            self._store.listen(Topic.SETTINGS, self._forget)
            self._listening = True
        changes = self._changes
        known = await self._store.read(_read)
        if changes == self._changes:  # else what was read may be what it was before
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


def _still_opened(reader: Reader, access: Access, offered: str) -> Access | None:
    """What a secret opens now that has opened `access`: that alone is read, however many hooks there are."""
    if access.hook is None:
        return _opened(_global(reader), offered)
    try:
        hook = reader.hook(access.hook.id)
    except NotFoundError:
        return None
    return Access(hook, hook.signature) if hook.secret_hash == hash_secret(offered) else None


def _read(reader: Reader) -> _Known:
    return replace(
        _global(reader),
        hooks={hook.secret_hash: Access(hook, hook.signature) for hook in reader.hooks()},
    )


def _global(reader: Reader) -> _Known:
    # A store that has no secret yet accepts nothing: a fresh one is compared with, and thrown away.
    secret = (read_secret(reader) or str(uuid.uuid4())).encode()
    return _Known(secret, Access(None, reader.webhook_signature()))
