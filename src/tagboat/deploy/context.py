"""The context of a deploy: all that it concerns, at one moment."""

from msgspec import Struct, field

from tagboat.core.catalog import Project, Registry, Stage, Strategy, run_config
from tagboat.core.deploy import ACTIVE_STATES, Deploy, Instance, InstanceState
from tagboat.core.ids import short_id
from tagboat.core.image import ImageName
from tagboat.core.naming import container_name, project_network
from tagboat.core.ports import Reader
from tagboat.core.run import RunConfig
from tagboat.core.storage import strategy_in_force
from tagboat.deploy.aliases import Aliases, aliases_on, own_aliases


class DeployContext(Struct, frozen=True):
    """All that a deploy concerns, at one moment.

    `own` is its instance, None before it is started; `others` are the stage's other instances that
    may have a container, newest first. `config` is the configuration of its containers; with `kept`
    that is on record, and follows the image no more. `registry` is that of its image, None for an
    anonymous pull. `aliases` are the stage's names on its networks.
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
        """Return the other instances in that state, newest first."""
        return [instance for instance in self.others if instance.state is state]

    @property
    def strategy(self) -> Strategy:
        """Strategy by which this deploy takes over from the live instance."""
        return strategy_in_force(self.stage, self.config)

    @property
    def replaced(self) -> list[Instance]:
        """Instances that the deploy made draining, and that serve again if it fails."""
        return [
            instance
            for instance in self.others_that(InstanceState.DRAINING)
            if instance.id in self.deploy.replaced
        ]

    @property
    def retired(self) -> list[Instance]:
        """Instances to drain and remove once its own one serves, newest first.

        As long as that has not stayed healthy, the newest one that has is kept, to serve again.
        """
        draining = self.others_that(InstanceState.DRAINING)
        if self.own is None or self.own.watched:
            return draining
        kept = next((instance for instance in draining if instance.watched), None)
        return [instance for instance in draining if instance is not kept]

    @property
    def container(self) -> str:
        """Name of the deploy's container, which is on record before it is made."""
        # Older releases did not record it, and went by the names of now.
        if self.own is not None or self.deploy.container:
            return self.own.container if self.own is not None else self.deploy.container
        return container_name(self.project.name, self.stage.name, short_id(self.deploy.id))

    @property
    def network(self) -> str:
        """Name of the project's network, on which its containers are from their start."""
        return project_network(self.project.id)

    @property
    def secret_values(self) -> frozenset[str]:
        """Secrets that no message may repeat: the app's, and the password of its registry."""
        password = self.registry.password if self.registry is not None else None
        return frozenset(filter(None, (*self.config.secret_values, password)))

    @property
    def repository(self) -> ImageName:
        """Repository of the image: the project's, or for a rollback that of the older deploy."""
        return self.deploy.image or self.project.image

    @property
    def image(self) -> str:
        """Image as `NAME@DIGEST`."""
        return f"{self.repository}@{self.deploy.digest}"


def read_context(reader: Reader, deploy_id: str) -> DeployContext:
    """Read all that the deploy concerns; raise NotFoundError when it was deleted."""
    deploy = reader.deploy(deploy_id)
    project, stage = reader.project(deploy.project_id), reader.stage(deploy.stage_id)
    active = reader.instances(stage_id=deploy.stage_id, states=ACTIVE_STATES)
    # Settings that were changed since it was recorded count from the next deploy on.
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
    """Return the registry of `image`, an earlier one of the project (None: the present one)."""
    # A project may have moved to another registry: an older image is still at the one of then.
    if image is None or image.host == project.image.host:
        return reader.registry_of(project)
    return reader.registry_for_host(image.host)
