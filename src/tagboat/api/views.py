"""The core's values as the API shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tagboat.api import registry_schemas, schemas
from tagboat.api.run_schemas import run_view
from tagboat.api.services import ApiServices
from tagboat.core.catalog import Project, Registry, Stage, run_config
from tagboat.core.decision import shadowed
from tagboat.core.deploy import Deploy, Instance, InstanceState
from tagboat.core.health import Trouble, Vitals
from tagboat.core.naming import instance_host, stage_host
from tagboat.core.ports import Reader
from tagboat.core.storage import stage_warnings, strategy_in_force
from tagboat.core.unmatchable import unmatchable


class Views:
    """Shows values together with the names of what they belong to; each name is read once."""

    def __init__(self, reader: Reader, services: ApiServices) -> None:
        self._reader = reader
        self._ingress = services.ingress
        self._base_domain = services.base_domain
        self._projects: dict[str, Project] = {}
        self._stages: dict[str, Stage] = {}
        self._known_vitals: dict[str, Vitals] = {}

    def project(self, project: Project, next_at: datetime | None) -> schemas.ProjectOut:
        """A project; `next_at` is when it is polled next."""
        state = self._reader.poll_state(project.id)
        return schemas.ProjectOut(
            id=project.id,
            name=project.name,
            image=str(project.image),
            port=project.port,
            port_set=project.port_set,
            healthcheck=project.healthcheck,
            healthcheck_set=project.healthcheck_set,
            protocol_set=project.protocol_set,
            protocol=project.protocol,
            env=project.env,
            registry=project.registry_id,
            poll=schemas.PollOut(last_at=state.last_at, next_at=next_at, error=state.error),
            created_at=project.created_at,
            **run_view(project.run),
        )

    def stage(self, stage: Stage) -> schemas.StageOut:
        """A stage."""
        project = self._project_of(stage.project_id)
        return schemas.StageOut(
            id=stage.id,
            project=schemas.RefOut(id=project.id, name=project.name),
            name=stage.name,
            tag_pattern=stage.pattern.text,
            position=stage.position,
            auto_deploy=stage.auto_deploy,
            allow_downgrade=stage.allow_downgrade,
            max_instances=stage.max_instances,
            env=stage.env,
            domains=list(stage.domains),
            strategy=stage.strategy,
            strategy_in_force=strategy_in_force(stage, run_config(project, stage)),
            health_timeout_s=stage.health_timeout_s,
            healthcheck_host=stage.healthcheck_host,
            healthcheck_request_timeout_s=stage.healthcheck_request_timeout_s,
            watch_s=stage.watch_s,
            drain_timeout_s=stage.drain_timeout_s,
            ttl_h=stage.ttl_h,
            held=stage.held,
            # Without a port no request can be led to it; what its image will say is not known before the first deploy.
            address=self._ingress.address(project, stage)
            if project.port or not project.inspected
            else None,
            created_at=stage.created_at,
            **run_view(stage.run),
        )

    def saved_stage(self, stage: Stage) -> schemas.SavedStageOut:
        """A stage, with what its neighbours make of it."""
        project = self._project_of(stage.project_id)
        registry = self._reader.registry_of(project)
        unmatched = unmatchable(stage.pattern, registry.kind if registry else None)
        warnings = (
            [unmatched] if unmatched else shadowed(stage, self._reader.stages(stage.project_id))
        )
        warnings += stage_warnings(project, stage)
        return schemas.SavedStageOut(**dict(self.stage(stage)), warnings=warnings)

    def released_stage(self, stage: Stage, deploys: Sequence[str]) -> schemas.ReleasedStageOut:
        """A stage, with the ids of the deploys that its release has queued."""
        return schemas.ReleasedStageOut(**dict(self.stage(stage)), deploys=list(deploys))

    def deploy(self, deploy: Deploy) -> schemas.DeployOut:
        """A deploy."""
        return schemas.DeployOut(
            id=deploy.id,
            project=self._project(deploy.project_id),
            stage=self._stage(deploy.stage_id),
            tag=deploy.tag,
            digest=deploy.digest,
            trigger=deploy.trigger,
            status=deploy.status,
            reason=deploy.reason,
            cancelling=deploy.cancelling and not deploy.status.final,
            steps=[
                schemas.StepOut(
                    name=step.name,
                    status=step.status,
                    started_at=step.started_at,
                    finished_at=step.finished_at,
                    detail=step.detail,
                )
                for step in deploy.steps
            ],
            log=deploy.log,
            created_at=deploy.created_at,
            started_at=deploy.started_at,
            finished_at=deploy.finished_at,
        )

    def instances(self, instances: Sequence[Instance]) -> list[schemas.InstanceOut]:
        """Instances, what is known of all of them read at once."""
        self._known_vitals |= self._reader.vitals(
            [one.id for one in instances if one.state is InstanceState.LIVE]
        )
        return [self.instance(one) for one in instances]

    def instance(self, instance: Instance) -> schemas.InstanceOut:
        """An instance."""
        return schemas.InstanceOut(
            id=instance.id,
            project=self._project(instance.project_id),
            stage=self._stage(instance.stage_id),
            deploy=instance.deploy_id,
            tag=instance.tag,
            digest=instance.digest,
            state=instance.state,
            url=instance.url,
            address=self._address(instance),
            container=instance.container,
            started_at=instance.started_at,
            stopped_at=instance.stopped_at,
            **self._vitals(instance),
        )

    def _vitals(self, instance: Instance) -> dict[str, Any]:
        """What the engine last said of it, as long as it is live."""
        found = (
            self._known_vitals.get(instance.id) if instance.state is InstanceState.LIVE else None
        )
        names = ("running", "restarting", "paused", "restarts", "health")
        told = {name: getattr(found, name) if found else None for name in names}
        trouble = found if found and found.trouble is not Trouble.NONE else None
        since = trouble.changed_at if trouble else None
        return {**told, "trouble": trouble.detail if trouble else None, "trouble_since": since}

    def _address(self, instance: Instance) -> str | None:
        """That of its stage with the instance's own host in it; the ingress has the same scheme and port for all."""
        stage = self._stage_of(instance.stage_id)
        if (
            stage.max_instances == 1
            or instance.state is not InstanceState.LIVE
            or instance.endpoint is None
        ):
            return None
        project = self._project_of(instance.project_id)
        address = self._ingress.address(project, stage)
        host = instance_host(project.name, stage.name, instance.tag, self._base_domain)
        return address and address.replace(
            stage_host(project.name, stage.name, self._base_domain), host, 1
        )

    def _project(self, project_id: str) -> schemas.RefOut:
        project = self._project_of(project_id)
        return schemas.RefOut(id=project.id, name=project.name)

    def _project_of(self, project_id: str) -> Project:
        if project_id not in self._projects:
            self._projects[project_id] = self._reader.project(project_id)
        return self._projects[project_id]

    def _stage(self, stage_id: str) -> schemas.RefOut:
        return schemas.RefOut(id=stage_id, name=self._stage_of(stage_id).name)

    def _stage_of(self, stage_id: str) -> Stage:
        if stage_id not in self._stages:
            self._stages[stage_id] = self._reader.stage(stage_id)
        return self._stages[stage_id]


def registry_view(registry: Registry) -> registry_schemas.RegistryOut:
    """A registry without its password."""
    return registry_schemas.RegistryOut(
        id=registry.id,
        name=registry.name,
        url=registry.url,
        kind=registry.kind,
        username=registry.username,
        has_password=registry.password is not None,
        ca_cert=registry.ca_cert,
        login_service=registry.login_service or None,
    )
