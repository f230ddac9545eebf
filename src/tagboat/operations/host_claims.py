"""Claims of stages to hosts: no two stages may claim one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from tagboat.core.catalog import Project, Stage
from tagboat.core.deploy import Instance, InstanceState
from tagboat.core.errors import NotFoundError, TakenError
from tagboat.core.hosts import claims_of, full_host, looked_up_as
from tagboat.core.naming import instance_host
from tagboat.core.ports import Reader


class StageRef(Struct, frozen=True):
    """A stage and its project, as they are or as they are to be saved."""

    project: Project
    stage: Stage


class HostClaims:
    """The hosts of all stages. Hosts that stages have by their names end with `base_domain`."""

    def __init__(self, reader: Reader, base_domain: str) -> None:
        self._reader = reader
        self._base_domain = base_domain
        self._live: dict[str, list[Instance]] = defaultdict(list)
        for instance in reader.side_by_side():
            self._live[instance.stage_id].append(instance)

    def check(self, saved: Sequence[StageRef]) -> None:
        """Raise ConflictError where one of `saved` would newly claim a host that another stage has.

        A claim that is on record already may stay.
        """
        after = {ref.stage.id: ref for ref in saved}
        for ref in saved:
            # Only new claims are compared: an edit of another field must not fail on an old one.
            before = self._stored(ref.stage.id)
            had = self._hosts(before) if before else {}
            new = {host: how for host, how in self._hosts(ref).items() if host not in had}
            for other in self._rivals(new, after) if new else ():
                theirs = self._hosts(other)
                if other.stage.id == ref.stage.id or not new.keys() & theirs.keys():
                    continue
                host = min(new.keys() & theirs.keys())
                has = "has the domain" if theirs[host] == _BY_DOMAIN else "answers at"
                whose = f"the stage {other.stage.name} of {other.project.name}"
                ours = f"the stage {ref.stage.name} of {ref.project.name}"
                named = f", which is where {ours} would answer; choose another name"
                remedy = "" if new[host] == _BY_DOMAIN else named
                raise TakenError(f"{whose} {has} {host} already{remedy}", other.stage.id)

    def _rivals(self, hosts: Iterable[str], saved: Mapping[str, StageRef]) -> Iterator[StageRef]:
        """Yield the stages that may have one of `hosts`.

        They are those on record for it, those whose instances have hosts, and `saved`.
        """
        asked = {text for host in hosts for text in looked_up_as(host, self._base_domain)}
        ids = {claim.stage_id for claim in self._reader.host_claims(asked)} | self._live.keys()
        for stage_id in sorted(ids - saved.keys()):
            if ref := self._stored(stage_id):
                yield ref
        yield from saved.values()

    def _stored(self, stage_id: str) -> StageRef | None:
        """Return the stage as it is on record, None where it is new."""
        try:
            stage = self._reader.stage(stage_id)
        except NotFoundError:
            return None
        return StageRef(self._reader.project(stage.project_id), stage)

    def _hosts(self, ref: StageRef) -> dict[str, str]:
        """Return every host of a stage, by name or by domain."""
        # Reversed: the first claim to a host wins, and a stage's own come before its instances'.
        return dict(reversed(list(self._named_hosts(ref))))

    def _named_hosts(self, ref: StageRef) -> Iterator[tuple[str, str]]:
        for claim in claims_of(ref.project, ref.stage):
            yield full_host(claim, self._base_domain), _BY_DOMAIN if claim.is_domain else _BY_NAME
        # The only instance of a stage answers at the stage's own host.
        if ref.stage.max_instances == 1:
            return
        # A stage that is about to have several has an instance that has had no host so far.
        live = self._live.get(ref.stage.id) or self._reader.instances(
            stage_id=ref.stage.id, states=[InstanceState.LIVE]
        )
        for instance in live:
            yield (
                instance_host(ref.project.name, ref.stage.name, instance.tag, self._base_domain),
                _BY_NAME,
            )


_BY_NAME = "name"
_BY_DOMAIN = "domain"
