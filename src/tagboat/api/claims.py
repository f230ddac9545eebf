"""Which hosts a stage claims, so that no two stages claim one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import ConflictError, NotFoundError
from tagboat.core.hosts import claims_of, full_host, looked_up_as
from tagboat.core.naming import instance_host
from tagboat.core.ports import Reader


@dataclass(frozen=True, slots=True)
class Lane:
    """A stage and its project, as they are or as they are to be saved."""

    project: Project
    stage: Stage


class Claims:
    """The hosts of all stages. `base_domain` is what those that stages have by their names end with."""

    def __init__(self, reader: Reader, base_domain: str) -> None:
        self._reader = reader
        self._base_domain = base_domain
        self._live: dict[str, list[Instance]] = defaultdict(list)
        for instance in reader.side_by_side():
            self._live[instance.stage_id].append(instance)

    def check(self, saved: Sequence[Lane]) -> None:
        """Raise ConflictError where one of `saved` would newly claim what another stage has. What is so already may stay."""
        after = {lane.stage.id: lane for lane in saved}
        for lane in saved:
            before = self._stored(lane.stage.id)
            had = self._hosts(before) if before else {}
            new = {host: how for host, how in self._hosts(lane).items() if host not in had}
            for other in self._rivals(new, after) if new else ():
                if other.stage.id != lane.stage.id:
                    self._compare(new, lane, other)

    def _rivals(self, hosts: Iterable[str], saved: Mapping[str, Lane]) -> Iterator[Lane]:
        """The stages that may have one of `hosts`: those on record for it, those with instances' own hosts, and `saved`."""
        asked = {text for host in hosts for text in looked_up_as(host, self._base_domain)}
        ids = {claim.stage_id for claim in self._reader.host_claims(asked)} | self._live.keys()
        for stage_id in sorted(ids - saved.keys()):
            if lane := self._stored(stage_id):
                yield lane
        yield from saved.values()

    def _stored(self, stage_id: str) -> Lane | None:
        """The stage as it is on record, None where it is new."""
        try:
            stage = self._reader.stage(stage_id)
        except NotFoundError:
            return None
        return Lane(self._reader.project(stage.project_id), stage)

    def _compare(self, new: Mapping[str, str], lane: Lane, other: Lane) -> None:
        theirs = self._hosts(other)
        for host in sorted(new.keys() & theirs.keys()):
            whose = f"the stage {other.stage.name} of {other.project.name}"
            if theirs[host] == _BY_DOMAIN:
                raise ConflictError(
                    f"{whose} has the domain {host} already{_mend(new[host], lane)}"
                )
            raise ConflictError(f"{whose} answers at {host} already{_mend(new[host], lane)}")

    def _hosts(self, lane: Lane) -> dict[str, str]:
        """Every host of a stage, and how it comes by it."""
        return dict(reversed(list(self._named_hosts(lane))))

    def _named_hosts(self, lane: Lane) -> Iterator[tuple[str, str]]:
        for claim in claims_of(lane.project, lane.stage):
            yield full_host(claim, self._base_domain), _BY_DOMAIN if claim.is_domain else _BY_NAME
        for instance in self._live_of(lane.stage) if lane.stage.max_instances > 1 else ():
            yield (
                instance_host(lane.project.name, lane.stage.name, instance.tag, self._base_domain),
                _BY_NAME,
            )

    def _live_of(self, stage: Stage) -> list[Instance]:
        """Its live instances, one that has had no host of its own so far among them."""
        return self._live.get(stage.id) or self._reader.instances(
            stage_id=stage.id, states=[InstanceState.LIVE]
        )


_BY_NAME = "name"
_BY_DOMAIN = "domain"


def _mend(how: str, lane: Lane) -> str:
    if how == _BY_DOMAIN:
        return ""
    return f", which is where the stage {lane.stage.name} of {lane.project.name} would answer; choose another name"
