"""The step in which the engine comes to hold the image, and what the deploy takes from what the image says of itself."""

import asyncio
from dataclasses import replace
from functools import partial

from tagboat.core.deploy import EXACT_TRIGGERS, Step, StepName, StepStatus
from tagboat.core.errors import DeployFailedError
from tagboat.core.image import ImageInfo
from tagboat.deploy.containers import Parts
from tagboat.deploy.following import follow, followed, foreign
from tagboat.deploy.images import note_pull, until_not_removed
from tagboat.deploy.journal import Journal
from tagboat.deploy.scene import Scene

_PROGRESS_EVERY_S = 1.0


class Pulling:
    """Pulls the image of one deploy. `info` is what it says of itself, None before it is known."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._engine = parts.engine
        self._journal = journal
        self.info: ImageInfo | None = None

    async def pull(self) -> Step:
        """Have the engine hold the image, and the project be as it says."""
        scene = await self._journal.scene()
        if scene.deploy.digest is not None:
            await until_not_removed(self._parts, scene.repository, scene.deploy.digest)
        detail = "the engine had it already"
        info = await self._engine.inspect_image(scene.image)
        if info is None:
            await self._watched(scene)
            info = await self._engine.inspect_image(scene.image)
            detail = "pulled"
        self.info = info
        if info is not None:
            if (
                scene.deploy.trigger not in EXACT_TRIGGERS
                and follow(scene.project, info) != scene.project
            ):
                await self._journal.fill_project(partial(follow, info=info))
            detail = "; ".join(
                filter(None, (detail, foreign(info.platform, await self._engine.platform())))
            )
        return Step(StepName.PULL, StepStatus.DONE, detail=detail)

    async def followed(self, scene: Scene) -> Scene:
        """The scene with port, healthcheck and protocol as its own image says, unless a person did, or it was kept."""
        project = scene.project
        if scene.kept or (project.port_set and project.healthcheck_set and project.protocol_set):
            return scene
        info = self.info or await self._engine.inspect_image(scene.image)
        return (
            scene
            if info is None
            else replace(scene, config=followed(scene.config, scene.project, info))
        )

    async def _watched(self, scene: Scene) -> None:
        """Pull, and note the progress about once a second."""
        digest = scene.deploy.digest
        if digest is None:
            raise DeployFailedError("the deploy has no digest to pull")
        await note_pull(self._parts, scene.repository, digest)
        latest = [""]
        pulling = asyncio.ensure_future(
            self._engine.pull(
                scene.repository, digest, scene.registry, lambda text: latest.__setitem__(0, text)
            )
        )
        try:
            noted = ""
            while not (await asyncio.wait([pulling], timeout=_PROGRESS_EVERY_S))[0]:
                if latest[0] != noted:
                    noted = latest[0]
                    await self._journal.note(StepName.PULL, noted)
            await pulling
        finally:
            pulling.cancel()
