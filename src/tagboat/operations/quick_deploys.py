"""A deploy of an image that somebody names, with its project where there is none yet."""

import asyncio

from msgspec import Struct

from tagboat.core.audit import AuditAction, changes_between, project_subject, stage_subject
from tagboat.core.decision import decide, normal_tag
from tagboat.core.errors import (
    ConflictError,
    FieldError,
    NotAnImageError,
    RegistryError,
    RegistryNotFoundError,
)
from tagboat.core.image import ImageInfo, ImageRef
from tagboat.core.ports import Reader, Tx
from tagboat.core.principal import Role
from tagboat.intake.admit import registry_kind
from tagboat.intake.autocreate import make_project
from tagboat.operations.deploys import DeployOperations
from tagboat.operations.queries.image_look import ANSWERS_WITHIN_S
from tagboat.operations.services import OperationServices
from tagboat.operations.views import DeployView


class QuickDeploy(Struct, frozen=True):
    """The deploy that was queued; `created` is True if its project was made for it."""

    view: DeployView
    created: bool


class QuickDeploys(Struct, frozen=True):
    """Deploys by image and tag alone."""

    services: OperationServices

    async def deploy(self, ref: ImageRef) -> QuickDeploy:
        """Deploy a tag in the stage whose pattern matches; without a project, make one.

        The project is the one that a push would make, whatever the settings allow to senders.
        Raises FieldError where the registry says that there is no such image, ConflictError where
        no stage matches, and ForbiddenError where the actor may not do it.
        """
        stage_id = await self.services.store.read(lambda reader: _stage_for(reader, ref))
        created = stage_id is None
        if stage_id is None:
            # Only an admin makes projects.
            self.services.actor.check_role(Role.ADMIN)
            stage_id = await self._make_project(ref, await self._inspect(ref))
        return QuickDeploy(await DeployOperations(self.services).deploy(stage_id, ref.tag), created)

    async def _make_project(self, ref: ImageRef, info: ImageInfo | None) -> str:
        """Make the project and return the id of its stage."""

        def work(tx: Tx) -> str:
            made_meanwhile = _stage_for(tx, ref)
            if made_meanwhile is not None:
                return made_meanwhile
            project = make_project(tx, ref.name, info, self.services.clock())
            (stage,) = tx.stages(project.id)
            for action, subject, new in (
                (AuditAction.PROJECT_CREATE, project_subject(project), project),
                (AuditAction.STAGE_CREATE, stage_subject(project, stage), stage),
            ):
                self.services.record(tx, action, subject, changes_between(None, new))
            return stage.id

        return await self.services.store.write(work)

    async def _inspect(self, ref: ImageRef) -> ImageInfo | None:
        """Return the configuration of an image, None where that is not known soon enough."""
        registry = await self.services.store.read(
            lambda reader: reader.registry_for_host(ref.name.host)
        )
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                return await self.services.inspect(ref, registry)
        except (RegistryNotFoundError, NotAnImageError) as error:
            raise FieldError("image", str(error)) from None
        except (TimeoutError, RegistryError):
            # The first deploy finds out, and says why if it cannot.
            return None


def _stage_for(reader: Reader, ref: ImageRef) -> str | None:
    """Return the id of the stage that a tag belongs to, None where no project has the image."""
    project = reader.project_by_image(ref.name)
    if project is None:
        return None
    tag = normal_tag(ref.tag, registry_kind(reader, project))
    decision = decide(project, reader.stages(project.id), tag)
    if decision.stage is None:
        raise ConflictError(f"{decision.reason}; deploy it in a stage of {project.name} by name")
    return decision.stage.id
