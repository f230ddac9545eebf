"""What is on record of a project when its image is polled, read for one project or for many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from sys import intern

from tagboat.core.catalog import KnownTag, Project, Registry, Stage
from tagboat.core.decision import normal_tag
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.image import Digest
from tagboat.core.poll import watched
from tagboat.core.polling import PollState, RegistryBackoff
from tagboat.core.ports import Reader, TagSource
from tagboat.core.serving import Serving, serving_in
from tagboat.registry.rest import Rest, seen_in

MOST_TAGS = 10_000
"""Known tags that `read_batch` holds before it stops, so that a few huge repositories do not fill the memory."""
LIVE_FOR = timedelta(seconds=10)
"""For how long a batch may go by what was live a moment ago: one query for all projects instead of one for each."""
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Situation:
    """Of one project. `tags` is what its registry is asked through.

    Where there is a `rest`, neither `stages` nor `known` were read. `changes` is how many of `Rests` there had been before.
    `serving` is what each stage has, by its id; read for one project only.
    """

    project: Project
    registry: Registry | None
    live: Sequence[Instance]
    state: PollState
    tags: TagSource
    stages: Sequence[Stage] = ()
    known: Mapping[str, KnownTag] = field(default_factory=dict)
    serving: Mapping[str, Sequence[Serving]] = field(default_factory=dict)
    rest: Rest | None = None
    changes: int = 0

    @property
    def watched(self) -> list[str]:
        """The tags whose digest is looked up (see core.poll.watched)."""
        kind = self.registry.kind if self.registry else None
        # On a Gitea, which has tags in lower case, no pattern can mean what it names in another.
        return [tag for tag in watched(self._named, self.live) if normal_tag(tag, kind) == tag]

    @property
    def _named(self) -> Sequence[str]:
        """The tags that patterns name outright."""
        if self.rest is not None:
            return self.rest.named
        return tuple(
            intern(stage.pattern.literal) for stage in self.stages if stage.pattern.literal
        )

    def is_news(self, found: Sequence[str], digests: Mapping[str, Digest], *, whole: bool) -> bool:
        """Whether anything is to be recorded of what the registry says, beyond the time at which it said it.

        `whole` is whether it was `found` by a list of all tags. With a `rest` alone it may say so where a full reading would
        not.
        """
        if self.rest:
            return self.rest.seen != seen_in(found, digests, self.live)
        if (whole and not self.state.first_done) or any(tag not in self.known for tag in found):
            return True
        return any(
            tag not in self.known or self.known[tag].digest != digest
            for tag, digest in digests.items()
        )

    def at_rest(self, listed: Sequence[str], digests: Mapping[str, Digest]) -> Rest:
        """What to remember of it when there was no news."""
        return Rest(seen_in(listed, digests, self.live), tuple(self._named))


@dataclass(frozen=True, slots=True)
class Live:
    """The live instances of all projects, by project id, as they were at `read_at`."""

    read_at: datetime
    instances: Mapping[str, Sequence[Instance]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What a batch is asked for: the projects of `project_ids` (at least one) that have their image at `host`.

    `rests` are those that are remembered, after so many `changes` of them; `live` is what an earlier batch read.
    """

    host: str
    project_ids: Sequence[str]
    tags: TagSource
    rests: Mapping[str, Rest]
    changes: int
    live: Live | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """The situations of the first `taken` projects of those asked for, and how the registry has been failing.

    A project that is gone, or has its image elsewhere by now, has none.
    """

    taken: int
    situations: Sequence[Situation]
    backoff: RegistryBackoff
    live: Live


def projects_of_hosts(reader: Reader) -> dict[str, list[str]]:
    """The ids of all projects by the host of their images, in the order of their ids, which is that of their making.

    Read by pages: all at once, thousands of projects would be held in memory for the sake of their ids.
    """
    hosts: dict[str, list[str]] = {}
    after = ""
    while page := reader.projects(after, _PAGE):
        for project in page:
            hosts.setdefault(project.image.host, []).append(project.id)
        after = page[-1].name
    return {host: sorted(project_ids) for host, project_ids in hosts.items()}


def read_situation(reader: Reader, project_id: str, tags: TagSource) -> Situation:
    """That of one project. Raises NotFoundError."""
    project, stages = reader.project(project_id), reader.stages(project_id)
    return Situation(
        project=project,
        registry=reader.registry_of(project),
        stages=stages,
        serving={stage.id: serving_in(reader, stage.id) for stage in stages},
        live=reader.instances(project_id=project_id, states=[InstanceState.LIVE]),
        known={known.tag: known for known in reader.known_tags(project_id)},
        state=reader.poll_state(project_id),
        tags=tags,
    )


def read_batch(reader: Reader, asked: Question) -> Batch:
    """Answer `asked`, with fewer projects (at least one) where their known tags would be more than MOST_TAGS."""
    live = asked.live
    if live is None or not asked.now - LIVE_FOR < live.read_at <= asked.now:
        live = _read_live(reader, asked.now)
    registries = {registry.id: registry for registry in reader.registries()}
    by_host = {registry.host: registry for registry in registries.values()}
    projects = reader.projects_by_id(asked.project_ids)
    states = reader.poll_states(asked.project_ids)
    situations: list[Situation] = []
    held = taken = 0
    for project_id in asked.project_ids:
        taken += 1
        project, rest = projects.get(project_id), asked.rests.get(project_id)
        if project is None or project.image.host != asked.host:
            continue
        situation = Situation(
            project=project,
            registry=registries.get(project.registry_id)
            if project.registry_id
            else by_host.get(asked.host),
            live=live.instances.get(project_id, ()),
            state=states[project_id],
            tags=asked.tags,
            rest=rest,
            changes=asked.changes,
        )
        situations.append(situation if rest else _with_whole_record(reader, situation))
        held += len(situations[-1].known)
        if held > MOST_TAGS:
            break
    return Batch(taken, situations, reader.registry_backoff(asked.host), live)


def _with_whole_record(reader: Reader, situation: Situation) -> Situation:
    known = {known.tag: known for known in reader.known_tags(situation.project.id)}
    return replace(situation, stages=reader.stages(situation.project.id), known=known)


def _read_live(reader: Reader, now: datetime) -> Live:
    instances: dict[str, list[Instance]] = {}
    for instance in reader.instances(states=[InstanceState.LIVE]):
        instances.setdefault(instance.project_id, []).append(instance)
    return Live(now, instances)
