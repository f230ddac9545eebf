"""Values that the webhook path has read, so that it does not read them again."""

from collections.abc import Collection

from msgspec import Struct, field

from tagboat.core.catalog import Project, Registry, Stage
from tagboat.core.deploy import Deploy, TakenBack
from tagboat.core.image import ImageName


class WriteMemory(Struct, frozen=True):
    """Values by their keys.

    It may outlive its transaction where no other server writes and the commit succeeded.
    """

    # Only what exists is remembered: callers can name without end what does not.

    projects: dict[ImageName, Project] = field(default_factory=dict)
    stages: dict[str, list[Stage]] = field(default_factory=dict)
    registries: dict[str, Registry] = field(default_factory=dict)
    open_deploys: dict[str, dict[str, Deploy]] = field(default_factory=dict)
    taken_back: dict[str, list[TakenBack]] = field(default_factory=dict)

    def note(self, deploy: Deploy) -> None:
        """Update the remembered open deploys of the deploy's stage."""
        remembered = self.open_deploys.get(deploy.stage_id)
        if remembered is None:
            return
        if deploy.status.final:
            remembered.pop(deploy.id, None)
        else:
            remembered[deploy.id] = deploy

    def forget_deploys(self, deploy_ids: Collection[str]) -> None:
        """Forget the open deploys of the stages of these, so that they are read again."""
        for stage_id in [
            key
            for key, known in self.open_deploys.items()
            if not known.keys().isdisjoint(deploy_ids)
        ]:
            del self.open_deploys[stage_id]

    def clear(self) -> None:
        """Forget everything."""
        for remembered in (
            self.projects,
            self.stages,
            self.registries,
            self.open_deploys,
            self.taken_back,
        ):
            remembered.clear()
