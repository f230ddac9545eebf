"""A deploy with what surrounds it: its instance, the one that it replaces, and what serves now."""

from msgspec import Struct

from tagboat.core.deploy import ACTIVE_STATES, Instance, InstanceState
from tagboat.core.ports import Reader
from tagboat.operations.queries.comparisons import replaced_by
from tagboat.operations.queries.deploys import find_deploy
from tagboat.operations.services import OperationServices
from tagboat.operations.views import DeployView, Views


class SurroundedDeploy(Struct, frozen=True, kw_only=True):
    """A deploy with its surroundings.

    `instance` is the one that it started, None before that. `before` is the one that it replaces or
    was to replace, None where nothing was live. `serving` is what is live in the stage now, newest
    first. `address` is the stage's URL through the ingress, None without one.
    """

    view: DeployView
    instance: Instance | None
    before: Instance | None
    serving: tuple[Instance, ...]
    address: str | None

    @property
    def is_live(self) -> bool:
        """True while what it brought is live."""
        return self.instance is not None and self.instance.state is InstanceState.LIVE

    @property
    def has_container(self) -> bool:
        """True while the container of its instance exists, or is about to."""
        # While it starts it is on record before its container exists.
        return self.instance is not None and self.instance.state in ACTIVE_STATES


class DeployPageQuery(Struct, frozen=True):
    """Reads a deploy for its page, in one transaction."""

    services: OperationServices

    async def read(self, deploy_id: str) -> SurroundedDeploy:
        """Return a deploy with its surroundings. Raises NotFoundError."""

        def work(reader: Reader) -> SurroundedDeploy:
            views = Views(reader, self.services)
            (view,) = views.deploys([find_deploy(reader, deploy_id)])
            (stage,) = views.stages([view.stage])
            own = reader.instance_of(deploy_id)
            live = reader.instances(stage_id=view.stage.id, states=[InstanceState.LIVE])
            before = replaced_by(reader, view.deploy, view.stage)
            return SurroundedDeploy(
                view=view,
                instance=own,
                before=before,
                serving=tuple(live),
                address=stage.address,
            )

        return await self.services.store.read(work)
