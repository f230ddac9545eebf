"""Values together with what belongs to them, as people see them."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from tagboat.core.catalog import Project, Stage, Strategy, run_config
from tagboat.core.decision import hidden_places, shadowed
from tagboat.core.deploy import Deploy, DeployStatus, Instance, InstanceState
from tagboat.core.health import Trouble, Vitals
from tagboat.core.ingress import Ingress
from tagboat.core.naming import instance_host, stage_host
from tagboat.core.placement import data_left_behind, names_one_node
from tagboat.core.polling import PollState
from tagboat.core.ports import Reader
from tagboat.core.receipt import DeployReceipt
from tagboat.core.storage import stage_volumes, stage_warnings, strategy_in_force
from tagboat.core.unmatchable import unmatchable
from tagboat.core.values import replace
from tagboat.operations.nesting import nested_words
from tagboat.operations.queries.patterns import PatternPreview
from tagboat.operations.registry_lookup import registry_among
from tagboat.operations.services import OperationServices


class ProjectView(Struct, frozen=True):
    """A project; `next_poll` is when it is polled next, None before that is known."""

    project: Project
    poll: PollState
    next_poll: datetime | None


class StageView(Struct, frozen=True):
    """A stage of `project`. `address` is its URL through the ingress, None without one.

    `warnings` name what will not go as one might expect; they are empty where not asked for.
    `preview` is set where saving it has changed which stage pushes of the past would have gone to.
    """

    stage: Stage
    project: Project
    strategy_in_force: Strategy
    address: str | None
    warnings: tuple[str, ...] = ()
    preview: PatternPreview | None = None


class DeployView(Struct, frozen=True):
    """A deploy in a stage of a project. Its `reason` also says what a queued one waits for.

    `receipt` is None without an ingress, and before requests were routed to the new instance.
    """

    deploy: Deploy
    project: Project
    stage: Stage
    receipt: DeployReceipt | None = None


class InstanceView(Struct, frozen=True):
    """An instance of a stage of a project.

    `address` is its own URL through the ingress, None where it has none of its own. `vitals` are
    what the engine reported last, None while it is not live and before the first report.
    """

    instance: Instance
    project: Project
    stage: Stage
    address: str | None
    vitals: Vitals | None

    @property
    def trouble(self) -> Vitals | None:
        """The vitals where the instance needs a person, else None."""
        is_well = self.vitals is None or self.vitals.trouble is Trouble.NONE
        return None if is_well else self.vitals


class Views:
    """Views of values in one transaction. Projects and stages are read once, several at a time."""

    def __init__(self, reader: Reader, services: OperationServices) -> None:
        self._reader = reader
        self._ingress: Ingress = services.ingress
        self._polls = services.polls
        self._base_domain = services.base_domain
        self._host_path = services.host_path
        self._projects: dict[str, Project] = {}
        self._stages: dict[str, Stage] = {}

    def projects(self, projects: Sequence[Project]) -> list[ProjectView]:
        """Return the views of projects."""
        states = self._reader.poll_states([project.id for project in projects])
        next_poll = self._polls.next_at()
        return [ProjectView(project, states[project.id], next_poll) for project in projects]

    def stages(self, stages: Sequence[Stage]) -> list[StageView]:
        """Return the views of stages, without warnings."""
        self._read_projects([stage.project_id for stage in stages])
        views = []
        for stage in stages:
            project = self._projects[stage.project_id]
            # Without a port no request can be routed to it; before the first deploy it is not known
            # whether the image has one.
            routable = bool(project.port) or not project.inspected
            views.append(
                StageView(
                    stage,
                    project,
                    strategy_in_force(stage, run_config(project, stage)),
                    self._ingress.address(project, stage) if routable else None,
                )
            )
        return views

    def warned_stages(self, stages: Sequence[Stage]) -> list[StageView]:
        """Return the views of stages, with what will not go as one might expect."""
        views = self.stages(stages)
        neighbours = self._reader.stages_by_project({stage.project_id for stage in stages})
        # For one stage alone, to compare it with each of the others is less.
        hidden = {
            project_id: hidden_places(tuple(one.pattern for one in others))
            for project_id, others in neighbours.items()
            if len(stages) > 1
        }
        registries = self._reader.registries()
        nested = nested_words(self._reader, self._host_path, [(v.project, v.stage) for v in views])
        warned = []
        for view in views:
            project, stage = view.project, view.stage
            registry = registry_among(registries, project)
            kind = registry.kind if registry else None
            never = unmatchable(stage.pattern, kind)
            # A pattern that matches nothing is the reason enough: others would only distract.
            others = neighbours[project.id]
            warnings = [never] if never else shadowed(stage, others, hidden.get(project.id))
            warnings += stage_warnings(project, stage)
            warnings += nested.get(stage.id, ())
            # What is live is read for few of many stages: most keep nothing, or run on one machine.
            if len(stages) == 1 or names_one_node(stage.constraints):
                warnings += self._data_left_behind(project, stage)
            warned.append(replace(view, warnings=tuple(warnings)))
        return warned

    def _data_left_behind(self, project: Project, stage: Stage) -> list[str]:
        config = run_config(project, stage)
        if not stage_volumes(stage, config):
            return []
        live = self._reader.instances(stage_id=stage.id, states=[InstanceState.LIVE])
        before = self._reader.deploy_config(live[0].deploy_id) if live else None
        return data_left_behind(stage, before, config) if before else []

    def deploys(self, deploys: Sequence[Deploy]) -> list[DeployView]:
        """Return the views of deploys."""
        self._read_stages(deploys)
        ledgers = self._reader.receipt_ledgers([one.id for one in deploys]) if deploys else {}
        return [
            DeployView(
                _with_wait(one, self._stages[one.stage_id]),
                self._projects[one.project_id],
                self._stages[one.stage_id],
                ledgers[one.id].receipt if one.id in ledgers else None,
            )
            for one in deploys
        ]

    def instances(self, instances: Sequence[Instance]) -> list[InstanceView]:
        """Return the views of instances."""
        self._read_stages(instances)
        live = [one.id for one in instances if one.state is InstanceState.LIVE]
        vitals = self._reader.vitals(live) if live else {}
        return [
            InstanceView(
                one,
                self._projects[one.project_id],
                self._stages[one.stage_id],
                self._own_address(one),
                vitals.get(one.id),
            )
            for one in instances
        ]

    def _read_projects(self, project_ids: Sequence[str]) -> None:
        if missing := set(project_ids) - self._projects.keys():
            self._projects |= self._reader.projects_by_id(missing)

    def _read_stages(self, owned: Sequence[Deploy] | Sequence[Instance]) -> None:
        self._read_projects([one.project_id for one in owned])
        if missing := {one.stage_id for one in owned} - self._stages.keys():
            self._stages |= self._reader.stages_by_id(missing)

    def _own_address(self, instance: Instance) -> str | None:
        stage, project = self._stages[instance.stage_id], self._projects[instance.project_id]
        if (
            stage.max_instances == 1
            or instance.state is not InstanceState.LIVE
            or not instance.endpoints
        ):
            return None
        # The ingress has one scheme and port for all hosts: that of the stage is replaced.
        address = self._ingress.address(project, stage)
        host = instance_host(project.name, stage.name, instance.tag, self._base_domain)
        return address and address.replace(
            stage_host(project.name, stage.name, self._base_domain), host, 1
        )


def _with_wait(deploy: Deploy, stage: Stage) -> Deploy:
    """Return a deploy with the reason why it does not begin, which is on record nowhere."""
    if deploy.status is not DeployStatus.QUEUED or not deploy.by_news:
        return deploy
    if stage.stopped:
        return replace(deploy, reason=f"the stage {stage.name} is stopped; it waits for the start")
    if stage.held:
        return replace(deploy, reason=f"the stage {stage.name} is held; it waits for the release")
    return deploy
