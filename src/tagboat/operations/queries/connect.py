"""The last calls of senders and registries, and registries that should call and do not."""

from datetime import datetime

from msgspec import Struct

from tagboat.core.ages import in_words
from tagboat.core.catalog import Project, Registry
from tagboat.core.errors import FieldError
from tagboat.core.heard import HeardCall, Silence, find_silence
from tagboat.core.ports import Reader
from tagboat.operations.queries.deliveries import DeliveryRow, read_row
from tagboat.operations.services import OperationServices
from tagboat.operations.webhooks import WebhookView

CALLS_LOOKED_AT = 20
"""So many of the newest calls are looked at for those after a moment."""


class HeardSender(Struct, frozen=True, kw_only=True):
    """A sender that has called; `last` is its last call."""

    sender: str
    last: HeardCall


class HeardRegistry(Struct, frozen=True, kw_only=True):
    """A registry host that has a project or is configured; `registry` is None if it is not.

    `last` is the last call about its images, None if nobody called; `silence` is set if it should
    have called and did not, as seen at `now`.
    """

    host: str
    registry: Registry | None
    last: HeardCall | None
    silence: Silence | None
    now: datetime

    @property
    def silent(self) -> str:
        """The sentence about what it did not report; empty if nothing is missing."""
        silence = self.silence
        if silence is None:
            return ""
        pushes = "1 push" if silence.pushes == 1 else f"{silence.pushes} pushes"
        called = (
            f"has not called for {in_words(self.now - silence.last_call)}"
            if silence.last_call
            else "has never called, although there is a webhook URL for it"
        )
        return f"Registry {self.name} {called}; polling found {pushes} it did not report."

    @property
    def name(self) -> str:
        """The registry's name, else its host."""
        return self.registry.name if self.registry else self.host


class Heard(Struct, frozen=True):
    """The senders, the one heard last first, and the registries in order of name."""

    senders: tuple[HeardSender, ...]
    registries: tuple[HeardRegistry, ...]


class ConnectQueries(Struct, frozen=True):
    """Reads of what was heard."""

    services: OperationServices

    async def heard(self) -> Heard:
        """Return when each sender and each registry was heard last."""
        now = self.services.clock()
        return await self.services.store.read(lambda reader: read_heard(reader, now))

    async def webhooks(self, text: str = "") -> list[WebhookView]:
        """Return the webhook URLs of all projects whose name contains `text`, in order of names."""

        def work(reader: Reader) -> list[WebhookView]:
            hooks = reader.hooks()
            projects = reader.projects_by_id({hook.project_id for hook in hooks})
            views = [WebhookView(hook, projects[hook.project_id]) for hook in hooks]
            found = [view for view in views if text.lower() in view.project.name]
            return sorted(found, key=lambda view: (view.project.name, view.webhook.name))

        return await self.services.store.read(work)

    async def project_named(self, name: str) -> Project:
        """Return the project of a name. Raises FieldError."""
        found = await self.services.store.read(lambda reader: reader.project_by_name(name))
        if found is None:
            raise FieldError("project", f"there is no project named {name}" if name else "is empty")
        return found

    async def last_call(self) -> str:
        """Return the id of the newest call, empty before the first."""
        newest = await self.services.store.read(lambda reader: reader.deliveries(limit=1))
        return newest[0].id if newest else ""

    async def calls_after(self, delivery_id: str) -> list[DeliveryRow]:
        """Return the newest calls after the one with the id, newest first."""

        def work(reader: Reader) -> list[DeliveryRow]:
            names = {hook.id: hook.name for hook in reader.hooks()}
            newest = reader.deliveries(limit=CALLS_LOOKED_AT)
            return [read_row(one, names) for one in newest if one.id > delivery_id]

        return await self.services.store.read(work)


def silent_registries(reader: Reader, now: datetime) -> list[HeardRegistry]:
    """Return the registries that should have called and did not, as seen at `now`."""
    # Silence is known by what polls found alone: mostly that is nothing.
    if not reader.poll_finds():
        return []
    return [one for one in read_heard(reader, now).registries if one.silence]


def read_heard(reader: Reader, now: datetime) -> Heard:
    """Return when each sender and each registry was heard last, as seen at `now`."""
    calls = reader.heard_calls()
    senders: dict[str, HeardCall] = {}
    by_host: dict[str, HeardCall] = {}
    # The latest come first.
    for call in calls:
        senders.setdefault(call.sender, call)
        by_host.setdefault(call.host, call)
    finds = {one.host: one for one in reader.poll_finds()}
    configured = {registry.host: registry for registry in reader.registries()}
    # Calls that pushed nothing to a project have no host.
    hosts = {*configured, *finds, *by_host} - {""}
    hooked = _called_from(reader)
    found = [
        HeardRegistry(
            host=host,
            registry=configured.get(host),
            last=by_host.get(host),
            silence=find_silence(
                host,
                by_host[host].at if host in by_host else None,
                hooked.get(host),
                finds.get(host),
                now,
            ),
            now=now,
        )
        for host in hosts
    ]
    return Heard(
        tuple(HeardSender(sender=sender, last=call) for sender, call in senders.items()),
        tuple(sorted(found, key=lambda one: (one.name, one.host))),
    )


def _called_from(reader: Reader) -> dict[str, datetime]:
    """Return when the first webhook URL was made for a project, by its image's host."""
    # The URL for all images says nothing: nobody knows which registries were given it.
    hooks = reader.hooks()
    projects = reader.projects_by_id({hook.project_id for hook in hooks})
    found: dict[str, datetime] = {}
    for hook in hooks:
        host = projects[hook.project_id].image.host
        found[host] = min(found.get(host, hook.created_at), hook.created_at)
    return found
