"""Which hosts a stage claims, so that no two stages claim one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import ConflictError
from tagboat.core.lanes import lanes
from tagboat.core.naming import instance_host, stage_host
from tagboat.core.ports import Reader


@dataclass(frozen=True, slots=True)
class Lane:
    """A stage and its project, as they are or as they are to be saved."""

    project: Project
    stage: Stage


class Claims:
    """The hosts of all stages. `base_domain` is what those that stages have by their names end with."""

    def __init__(self, reader: Reader, base_domain: str) -> None:
        self._base_domain = base_domain
        self._live: dict[str, list[Instance]] = defaultdict(list)
        for instance in reader.instances(states=[InstanceState.LIVE]):
            self._live[instance.stage_id].append(instance)
        self._stored = {stage.id: Lane(project, stage) for project, stage in lanes(reader)}

    def check(self, saved: Sequence[Lane]) -> None:
        """Raise ConflictError where one of `saved` would newly claim what another stage has. What is so already may stay."""
        after = {**self._stored, **{lane.stage.id: lane for lane in saved}}
        for lane in saved:
            before = self._stored.get(lane.stage.id)
            had = self._hosts(before) if before else {}
            new = {host: how for host, how in self._hosts(lane).items() if host not in had}
            for other in after.values() if new else ():
                if other.stage.id != lane.stage.id:
                    self._compare(new, lane, other)

    def _compare(self, new: Mapping[str, str], lane: Lane, other: Lane) -> None:
        theirs = self._hosts(other)
        for host in sorted(new.keys() & theirs.keys()):
            whose = f"the stage {other.stage.name} of {other.project.name}"
            if theirs[host] == _BY_DOMAIN:
                raise ConflictError(f"{whose} has the domain {host} already{_mend(new[host], lane)}")
            raise ConflictError(f"{whose} answers at {host} already{_mend(new[host], lane)}")

    def _hosts(self, lane: Lane) -> dict[str, str]:
        """Every host of a stage, and how it comes by it."""
        return dict(reversed(list(self._named_hosts(lane))))

    def _named_hosts(self, lane: Lane) -> Iterator[tuple[str, str]]:
        yield stage_host(lane.project.name, lane.stage.name, self._base_domain), _BY_NAME
        for domain in lane.stage.domains:
            yield domain, _BY_DOMAIN
        for instance in self._live[lane.stage.id] if lane.stage.max_instances > 1 else ():
            yield instance_host(lane.project.name, lane.stage.name, instance.tag, self._base_domain), _BY_NAME


_BY_NAME = "name"
_BY_DOMAIN = "domain"


def _mend(how: str, lane: Lane) -> str:
    if how == _BY_DOMAIN:
        return ""
    return f", which is where the stage {lane.stage.name} of {lane.project.name} would answer; choose another name"
