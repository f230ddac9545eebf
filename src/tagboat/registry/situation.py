"""What is on record of a project when its image is polled, read for one project or for many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.image import Digest
from tagboat.core.poll import watched
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.ports import Reader, TagSource
from tagboat.registry.rest import Rest, seen_in

MOST_TAGS = 10_000
"""Known tags that `read_batch` holds before it stops, so that a few huge repositories do not fill the memory."""
LIVE_FOR = timedelta(seconds=10)
"""For how long a batch may go by what was live a moment ago: one query for all projects instead of one for each."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Of one project. `tags` is what its registry is asked through.

    Where there is a `rest`, neither `stages` nor `known` were read. `changes` is how many of `Rests` there had been before.
    """

    project: Project
    registry: Registry | None
    stages: Sequence[Stage]
    live: Sequence[Instance]
    known: Mapping[str, KnownTag]
    state: PollState
    tags: TagSource
    rest: Rest | None = None
    changes: int = 0

    def watched(self, listed: Sequence[str]) -> list[str]:
        """The listed tags whose digest is looked up (see core.poll.watched)."""
        if self.rest is None:
            return watched(self.stages, self.live, listed)
        wanted = {*self.rest.named, *(instance.tag for instance in self.live)}
        return [tag for tag in listed if tag in wanted]

    def is_news(self, listed: Sequence[str], digests: Mapping[str, Digest]) -> bool:
        """Whether anything is to be recorded of what the registry says, beyond the time at which it said it.

        With a `rest` alone it may say so where a full reading would not.
        """
        if self.rest:
            return self.rest.seen != seen_in(listed, digests, self.live)
        if not self.state.first_done or any(tag not in self.known for tag in listed):
            return True
        return any(self.known[tag].digest != digest for tag, digest in digests.items())

    def at_rest(self, listed: Sequence[str], digests: Mapping[str, Digest], state: PollState) -> Rest:
        """What to remember of it when there was no news and `state` is all that was written."""
        named = self.rest.named if self.rest else tuple(s.pattern.literal for s in self.stages if s.pattern.literal)
        return Rest(seen_in(listed, digests, self.live), named, state)


@dataclass(frozen=True, slots=True)
class Live:
    """The live instances of all projects, by project id, as they were at `read_at`."""

    read_at: datetime
    instances: Mapping[str, Sequence[Instance]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """The situations of the first of the projects asked for, at least one, and how the registry has been failing."""

    situations: Sequence[Situation]
    backoff: RegistryBackoff
    live: Live


def read_situation(reader: Reader, project_id: str, tags: TagSource) -> Situation:
    """That of one project. Raises NotFoundError."""
    project = reader.project(project_id)
    return Situation(
        project=project,
        registry=reader.registry_of(project),
        stages=reader.stages(project_id),
        live=reader.instances(project_id=project_id, states=[InstanceState.LIVE]),
        known={known.tag: known for known in reader.known_tags(project_id)},
        state=reader.poll_state(project_id),
        tags=tags,
    )


def read_batch(
    reader: Reader, projects: Sequence[Project], tags: TagSource, rests: Mapping[str, Rest], live: Live | None, now: datetime
) -> Batch:
    """Those of `projects` (at least one), all of one image host, until MOST_TAGS are exceeded.

    The projects themselves are taken as they are given; `live` is taken while it is young enough.
    """
    if live is None or not now - LIVE_FOR < live.read_at <= now:
        live = _read_live(reader, now)
    registries = {registry.id: registry for registry in reader.registries()}
    by_host = {registry.host: registry for registry in registries.values()}
    states = reader.poll_states([project.id for project in projects if project.id not in rests])
    situations: list[Situation] = []
    held = 0
    for project in projects:
        registry = registries.get(project.registry_id) if project.registry_id else by_host.get(project.image.host)
        rest, running = rests.get(project.id), live.instances.get(project.id, ())
        if rest is not None:
            situations.append(Situation(project, registry, (), running, {}, rest.state, tags, rest))
            continue
        known = {known.tag: known for known in reader.known_tags(project.id)}
        stages = reader.stages(project.id)
        situations.append(Situation(project, registry, stages, running, known, states[project.id], tags))
        held += len(known)
        if held > MOST_TAGS:
            break
    return Batch(situations, reader.registry_backoff(projects[0].image.host), live)


def _read_live(reader: Reader, now: datetime) -> Live:
    instances: dict[str, list[Instance]] = {}
    for instance in reader.instances(states=[InstanceState.LIVE]):
        instances.setdefault(instance.project_id, []).append(instance)
    return Live(now, instances)
