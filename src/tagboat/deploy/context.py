"""Everything a deploy concerns, as it stands at one moment."""

from dataclasses import dataclass, field

from tagboat.core.catalog import Project, Registry, Stage, Strategy, run_config
from tagboat.core.deploy import ACTIVE_STATES, Deploy, Instance, InstanceState
from tagboat.core.ids import short_id
from tagboat.core.image import ImageName
from tagboat.core.naming import container_name, project_network
from tagboat.core.ports import Reader
from tagboat.core.run import RunConfig
from tagboat.core.storage import strategy_in_force
from tagboat.deploy.aliases import Aliases, aliases_on, own_aliases


@dataclass(frozen=True, slots=True)
class DeployContext:
    """Everything a deploy concerns, as it stands at one moment.

    `own` is its instance, once there is one; `others` are the stage's other instances that may have a container; `config` is
    with what its containers are started, `kept` whether that is on record already, and so not to follow its image any more;
    `registry` is that of its image; `aliases` are the stage's names on its networks.
    """

    deploy: Deploy
    project: Project
    stage: Stage
    registry: Registry | None
    own: Instance | None
    others: tuple[Instance, ...]
    config: RunConfig
    kept: bool = False
    aliases: Aliases = field(default_factory=dict)

    def others_that(self, state: InstanceState) -> list[Instance]:
        """The other instances in that state, newest first."""
        return [instance for instance in self.others if instance.state is state]

    @property
    def strategy(self) -> Strategy:
        """How this deploy takes over from what is live."""
        return strategy_in_force(self.stage, self.config)

    @property
    def replaced(self) -> list[Instance]:
        """Those that the deploy has put to draining, and that serve again if it fails."""
        return [
            instance
            for instance in self.others_that(InstanceState.DRAINING)
            if instance.id in self.deploy.replaced
        ]

    @property
    def retired(self) -> list[Instance]:
        """Those to drain and remove once its own instance serves, newest first.

        As long as that has not stayed healthy, the newest that has is kept, to serve again.
        """
        draining = self.others_that(InstanceState.DRAINING)
        if self.own is None or self.own.watched:
            return draining
        kept = next((instance for instance in draining if instance.watched), None)
        return [instance for instance in draining if instance is not kept]

    @property
    def container(self) -> str:
        """The name of the deploy's container, on record before any is made (an older release went by the names of now)."""
        if self.own is not None or self.deploy.container:
            return self.own.container if self.own is not None else self.deploy.container
        return container_name(self.project.name, self.stage.name, short_id(self.deploy.id))

    @property
    def network(self) -> str:
        """The name of the project's network, which its containers are on from their start."""
        return project_network(self.project.id)

    @property
    def secret_values(self) -> frozenset[str]:
        """What must not be repeated to anybody: the app's secrets, and the password of its registry."""
        password = self.registry.password if self.registry is not None else None
        return frozenset(filter(None, (*self.config.secret_values, password)))

    @property
    def repository(self) -> ImageName:
        """The repository of the image: that of the project, or of the time to which is rolled back."""
        return self.deploy.image or self.project.image

    @property
    def image(self) -> str:
        """`NAME@DIGEST`, as the engine knows the image."""
        return f"{self.repository}@{self.deploy.digest}"


def read_context(reader: Reader, deploy_id: str) -> DeployContext:
    """Everything the deploy concerns; raises NotFoundError when it is no longer there."""
    deploy = reader.deploy(deploy_id)
    project, stage = reader.project(deploy.project_id), reader.stage(deploy.stage_id)
    active = reader.instances(stage_id=deploy.stage_id, states=ACTIVE_STATES)
    kept = reader.deploy_config(deploy_id)
    config = kept or run_config(project, stage)
    return DeployContext(
        deploy=deploy,
        project=project,
        stage=stage,
        registry=registry_of(reader, project, deploy.image),
        own=next((instance for instance in active if instance.deploy_id == deploy_id), None),
        others=tuple(instance for instance in active if instance.deploy_id != deploy_id),
        config=config,
        kept=kept is not None,
        aliases={
            **own_aliases(reader, project, stage),
            **aliases_on(reader, project, stage, config.options.networks),
        },
    )


def registry_of(reader: Reader, project: Project, image: ImageName | None) -> Registry | None:
    """The registry of `image`, which the project may have had before the one that it has now; None for the project's."""
    if image is None or image.host == project.image.host:
        return reader.registry_of(project)
    return reader.registry_for_host(image.host)
