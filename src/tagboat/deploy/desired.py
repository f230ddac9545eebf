"""The desired state of the runtime, by what is on record."""

from collections.abc import Mapping

from msgspec import Struct

from tagboat.core.catalog import Stage
from tagboat.core.deploy import ACTIVE_STATES, Instance, InstanceState
from tagboat.core.one_off import OneOff
from tagboat.core.ports import Reader
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.instances import stopped_for_a_deploy
from tagboat.deploy.ownership import INSTANCE, RUN, role_of


class DesiredState(Struct, frozen=True):
    """The ids of deploys at work or with an instance, and the instances by what is to be done.

    Those in `live` are to be kept running, those in `drained` to be drained and retired, and those
    in `given_up` to be removed. `owed` are the ids of the live ones whose containers a person made
    and a deploy that failed had stopped. `stages` are the stages of `drained`, by id. `one_offs`
    are the commands on record, which nobody has to start.
    """

    working: frozenset[str]
    serving: frozenset[str]
    live: list[Instance]
    drained: list[Instance]
    given_up: list[Instance]
    owed: frozenset[str]
    stages: Mapping[str, Stage]
    one_offs: list[OneOff]

    def knows(self, workload: WorkloadStatus) -> bool:
        """Return whether the workload is wanted; a release command only while its deploy works."""
        if workload.labels.get(RUN) in {one.id for one in self.one_offs}:
            return True
        deploy = workload.labels.get("tagboat.deploy", "")
        return deploy in self.working or (deploy in self.serving and role_of(workload) == INSTANCE)


def read_desired_state(reader: Reader) -> DesiredState:
    """Read the desired state of the whole installation."""
    # Newest first, so that the first match of a stage in `draining` is its newest.
    active = reader.instances(states=ACTIVE_STATES)
    live = [one for one in active if one.state is InstanceState.LIVE]
    draining = [one for one in active if one.state is InstanceState.DRAINING]
    starting = [one for one in active if one.state is InstanceState.STARTING]
    # Thousands of deploys may wait; only those of the few stages that change matter here.
    waiting = {
        stage_id: reader.open_deploys(stage_id)
        for stage_id in {one.stage_id for one in (*draining, *starting)}
    }
    deploys = {
        deploy.id for some in (reader.running_deploys(), *waiting.values()) for deploy in some
    }
    changing = {
        stage_id for stage_id, some in waiting.items() if any(deploy.begun for deploy in some)
    }
    # While the live instance is not proven, the newest one that was serves again if it fails.
    unproven = {one.stage_id for one in live if not one.watched}
    kept: dict[str, str] = {}
    for instance in draining:
        if instance.watched and instance.stage_id in unproven:
            kept.setdefault(instance.stage_id, instance.id)
    return DesiredState(
        working=frozenset(deploys),
        serving=frozenset(one.deploy_id for one in active),
        # The deploy that made an instance looks after it until the deploy has ended.
        live=[one for one in live if one.deploy_id not in deploys],
        drained=[
            one
            for one in draining
            if kept.get(one.stage_id) != one.id and one.stage_id not in changing
        ],
        given_up=[one for one in starting if one.deploy_id not in deploys],
        owed=frozenset(one.id for one in live if one.adopted and stopped_for_a_deploy(reader, one)),
        stages={one.stage_id: reader.stage(one.stage_id) for one in draining},
        one_offs=reader.one_offs(),
    )
