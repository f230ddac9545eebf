"""The target of a poll: a project with its record, read for one project or for many at once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from sys import intern

from msgspec import Struct, field

from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.decision import normal_tag
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.image import Digest
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.ports import Reader, Store, TagSource
from tagboat.core.serving import Serving, serving_in
from tagboat.polling.fingerprints import FingerprintCache, PollFingerprint, fingerprint_digest

MAX_TAGS_PER_BATCH = 10_000
"""Known tags after which `TargetReader` ends a batch: a few huge repositories fill no memory."""
LIVE_VALID_FOR = timedelta(seconds=10)
"""Age up to which batches share one query for all live instances."""
_PROJECTS_PER_PAGE = 200


class PollTarget(Struct, frozen=True):
    """A project whose image is polled, and its record. `source` is the client for its registry.

    With a `fingerprint`, neither `stages` nor `known` were read; `generation` is the generation of
    the fingerprint cache before the read. `serving` maps stage ids to the tags that the stage has;
    it is read by `read_target` only.
    """

    project: Project
    registry: Registry | None
    live: Sequence[Instance]
    state: PollState
    source: TagSource
    stages: Sequence[Stage] = ()
    known: Mapping[str, KnownTag] = field(default_factory=dict)
    serving: Mapping[str, Sequence[Serving]] = field(default_factory=dict)
    fingerprint: PollFingerprint | None = None
    generation: int = 0

    @property
    def named(self) -> Sequence[str]:
        """The tags that patterns of stages name literally."""
        if self.fingerprint is not None:
            return self.fingerprint.named
        return tuple(
            # One copy of `latest` for thousands of projects.
            intern(stage.pattern.literal)
            for stage in self.stages
            if stage.pattern.literal
        )

    @property
    def watched(self) -> list[str]:
        """The tags whose digest is looked up, each once: the live ones, then the named ones."""
        kind = self.registry.kind if self.registry else None
        tags = dict.fromkeys([*(instance.tag for instance in self.live), *self.named])
        # Gitea stores tags in lower case, so a pattern that names one in another case means none.
        return [tag for tag in tags if normal_tag(tag, kind) == tag]

    def has_changes(
        self, found: Sequence[str], digests: Mapping[str, Digest], *, complete: bool
    ) -> bool:
        """Return True if the registry's answer must be recorded, beyond the time of the poll.

        `complete` is whether `found` came from a list of all tags. With a fingerprint the answer
        may be a false positive, never a false negative.
        """
        if self.fingerprint:
            return self.fingerprint.digest != fingerprint_digest(found, digests, self.live)
        if (complete and not self.state.first_done) or any(tag not in self.known for tag in found):
            return True
        return any(
            tag not in self.known or self.known[tag].digest != digest
            for tag, digest in digests.items()
        )

    def new_fingerprint(
        self, found: Sequence[str], digests: Mapping[str, Digest]
    ) -> PollFingerprint:
        """Return the fingerprint of a poll that found no changes."""
        return PollFingerprint(fingerprint_digest(found, digests, self.live), tuple(self.named))

    async def reread(self, store: Store) -> "PollTarget":
        """Return the target with its whole record as it is now. Raises NotFoundError."""
        project_id, source = self.project.id, self.source
        return await store.read(lambda reader: read_target(reader, project_id, source))


class TargetBatch(Struct, frozen=True):
    """The targets of the first `taken` projects asked for, and the backoff of their registry.

    A project that was deleted, or moved to another registry, is taken and has no target.
    """

    taken: int
    targets: Sequence[PollTarget]
    backoff: RegistryBackoff


def projects_by_host(reader: Reader) -> dict[str, list[str]]:
    """Return the ids of all projects by the host of their image, oldest project first."""
    hosts: dict[str, list[str]] = {}
    after = ""
    # By pages: only the ids are needed, so thousands of projects are never in memory at once.
    while page := reader.projects(after, _PROJECTS_PER_PAGE):
        for project in page:
            hosts.setdefault(project.image.host, []).append(project.id)
        after = page[-1].name
    # Ids grow with time: each project keeps its place while others are added.
    return {host: sorted(project_ids) for host, project_ids in hosts.items()}


def read_target(reader: Reader, project_id: str, source: TagSource) -> PollTarget:
    """Read one project with its whole record. Raises NotFoundError."""
    project, stages = reader.project(project_id), reader.stages(project_id)
    return PollTarget(
        project=project,
        registry=reader.registry_of(project),
        stages=stages,
        serving={stage.id: serving_in(reader, stage.id) for stage in stages},
        live=reader.instances(project_id=project_id, states=[InstanceState.LIVE]),
        known={known.tag: known for known in reader.known_tags(project_id)},
        state=reader.poll_state(project_id),
        source=source,
    )


class TargetReader:
    """Reads the targets of one registry `host`, batch by batch, shortly before they are polled."""

    def __init__(
        self,
        host: str,
        store: Store,
        source: TagSource,
        cache: FingerprintCache,
        clock: Callable[[], datetime],
    ) -> None:
        self._host = host
        self._store = store
        self._source = source
        self._cache = cache
        self._clock = clock
        self._live: Mapping[str, Sequence[Instance]] = {}
        self._live_at: datetime | None = None

    async def read(self, project_ids: Sequence[str]) -> TargetBatch:
        """Read targets in the order given (at least one): fewer if they have too many known tags.

        "Too many" is MAX_TAGS_PER_BATCH. Raises StoreUnavailableError.
        """
        now, generation = self._clock(), self._cache.generation
        fingerprints = {
            project_id: fingerprint
            for project_id in project_ids
            if (fingerprint := self._cache.get(project_id))
        }
        # One query for all projects is cheaper than one for each batch.
        known_live = self._live
        is_fresh = self._live_at is not None and now - LIVE_VALID_FOR < self._live_at <= now

        # In a thread of the store, hence no change of `self` in here.
        def work(reader: Reader) -> tuple[TargetBatch, Mapping[str, Sequence[Instance]]]:
            live = known_live if is_fresh else live_by_project(reader)
            batch = read_batch(
                reader, self._host, self._source, project_ids, live, fingerprints, generation
            )
            return batch, live

        batch, self._live = await self._store.read(work)
        if not is_fresh:
            self._live_at = now
        return batch


def read_batch(
    reader: Reader,
    host: str,
    source: TagSource,
    project_ids: Sequence[str],
    live: Mapping[str, Sequence[Instance]],
    fingerprints: Mapping[str, PollFingerprint],
    generation: int,
) -> TargetBatch:
    """Read targets of `host` as `TargetReader.read` does, with what is known already."""
    registries = {registry.id: registry for registry in reader.registries()}
    by_host = {registry.host: registry for registry in registries.values()}
    projects = reader.projects_by_id(project_ids)
    states = reader.poll_states(project_ids)
    targets: list[PollTarget] = []
    tags_held = taken = 0
    for project_id in project_ids:
        taken += 1
        project, fingerprint = projects.get(project_id), fingerprints.get(project_id)
        if project is None or project.image.host != host:
            continue
        # With a fingerprint these two reads are spared: they are most of what a poll costs.
        known = () if fingerprint else reader.known_tags(project_id)
        targets.append(
            PollTarget(
                project=project,
                registry=registries.get(project.registry_id)
                if project.registry_id
                else by_host.get(host),
                live=live.get(project_id, ()),
                state=states[project_id],
                source=source,
                stages=() if fingerprint else reader.stages(project_id),
                known={one.tag: one for one in known},
                fingerprint=fingerprint,
                generation=generation,
            )
        )
        tags_held += len(known)
        if tags_held > MAX_TAGS_PER_BATCH:
            break
    return TargetBatch(taken, targets, reader.registry_backoff(host))


def live_by_project(reader: Reader) -> dict[str, list[Instance]]:
    """Return all live instances by project id, with one query."""
    instances: dict[str, list[Instance]] = {}
    for instance in reader.instances(states=[InstanceState.LIVE]):
        instances.setdefault(instance.project_id, []).append(instance)
    return instances
