"""The data of an app: where it is kept is settled before a deploy changes anything."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from tagboat.core.catalog import Stage
from tagboat.core.deploy import Deploy
from tagboat.core.errors import DeployFailedError
from tagboat.core.image import ImageInfo
from tagboat.core.placement import data_left_behind
from tagboat.core.ports import Tx
from tagboat.core.run import RunConfig
from tagboat.core.runtime import Runtime
from tagboat.core.storage import (
    image_volume_name,
    lasting_paths,
    stage_volumes,
    storage_warnings,
    taken_over,
)
from tagboat.core.values import replace
from tagboat.core.workload import WorkloadStatus
from tagboat.deploy.context import DeployContext
from tagboat.deploy.record import DeployRecord
from tagboat.deploy.specs import SECRETS_FOLDER


class Storage(Struct, frozen=True):
    """The places where an app keeps its data.

    `image_volumes` are the paths that its image declares, `adopted` the volumes by path that the
    stage takes over, and `words` say both for a person.
    """

    image_volumes: tuple[str, ...]
    adopted: Mapping[str, str]
    words: tuple[str, ...] = ()

    def of_stage(self, stage: Stage) -> Stage:
        """Return the stage with this storage."""
        adopted = {**stage.adopted_volumes, **self.adopted}
        return replace(stage, image_volumes=self.image_volumes, adopted_volumes=adopted)

    def of_config(self, config: RunConfig) -> RunConfig:
        """Return the configuration with this storage."""
        return replace(config, image_volumes=self.image_volumes)


async def settle_storage(
    runtime: Runtime, record: DeployRecord, context: DeployContext, info: ImageInfo | None
) -> tuple[DeployContext, str]:
    """Settle and record where the app's data is kept; return the new context, and words for it.

    `info` is the image's description, None where the runtime has yet to be asked. A container of an
    earlier version of Tagboat may have written into volumes that the engine made by itself: the
    stage takes these over.
    """
    declared = await _declared(runtime, context) if info is None else info.volumes
    # Before anything is started: a secret that was written into a volume would stay there.
    if context.config.options.secret_files:
        lasting = lasting_paths(replace(context.config, image_volumes=tuple(declared)))
        for path in lasting:
            if f"{SECRETS_FOLDER}/".startswith(f"{path}/"):
                raise DeployFailedError(
                    f"the image declares a VOLUME at {path}, where secret_files would be written"
                    " into data that lasts; build the image without it, or give the secrets as"
                    " environment variables (secrets)"
                )
    # The engine is asked, not the record: it alone knows the volumes that it made unasked.
    storage = _storage(
        context, declared, [await runtime.status(one.handle) for one in context.others]
    )
    stage, config = storage.of_stage(context.stage), storage.of_config(context.config)
    # The newest other instance may have had volumes that the new one has not.
    before = await record.config_of(context.others[0]) if context.others else None
    had = stage_volumes(context.stage, before) if before is not None else {}
    mounted = stage_volumes(stage, config)
    left = [
        f"the volume {name}, until now at {path}, is not mounted any more, and what is in it stays"
        " there"
        for name, path in had.items()
        if name not in mounted
    ]
    if before is not None:
        left += data_left_behind(stage, before, config)
    storage = replace(storage, words=(*storage.words, *left))
    # On record before anything is stopped: see docs/decisions/0011.
    if (stage, config) != (context.stage, context.config):

        def write_down(tx: Tx, deploy: Deploy) -> Deploy:
            keep_storage(deploy.stage_id, storage, tx)
            tx.put_deploy_config(deploy.id, config)
            return deploy

        await record.advance(None, None, write_down)
        context = await record.context()
    return context, "".join(f"; {words}" for words in storage.words)


async def with_storage(
    runtime: Runtime, context: DeployContext, old: WorkloadStatus | None = None
) -> tuple[DeployContext, Storage]:
    """Return the context for making a container again in the place of `old`, and its storage."""
    storage = _storage(context, await _declared(runtime, context), [old])
    return replace(
        context, stage=storage.of_stage(context.stage), config=storage.of_config(context.config)
    ), storage


def keep_storage(stage_id: str, storage: Storage, tx: Tx) -> None:
    """Record the volumes that the stage takes over."""
    tx.put_stage(storage.of_stage(tx.stage(stage_id)))


async def _declared(runtime: Runtime, context: DeployContext) -> tuple[str, ...]:
    info = await runtime.inspect_image(context.image)
    return context.config.image_volumes if info is None else info.volumes


def _storage(
    context: DeployContext, declared: tuple[str, ...], old: Iterable[WorkloadStatus | None]
) -> Storage:
    config = replace(context.config, image_volumes=declared)
    storage, left = Storage(declared, {}), []
    mounted = stage_volumes(context.stage, config)
    for status in filter(None, old):  # the newest first: its data is what goes on
        adopted = taken_over(config, storage.of_stage(context.stage), status.unasked_volumes)
        storage = replace(storage, adopted={**storage.adopted, **adopted})
        left += [
            f"the volume {name}, at {path} of {status.name}, stays on the engine and is not used"
            f" any"
            " more"
            for path, name in status.unasked_volumes.items()
            if path not in adopted and name not in mounted
        ]
    stage = storage.of_stage(context.stage)
    lasting = []
    for path in lasting_paths(config):
        name = image_volume_name(stage, path)
        kept = (
            f"the volume {name} that the old container had"
            if path in storage.adopted
            else f"the stage's volume {name}"
        )
        lasting.append(f"{path}, a VOLUME of the image, lasts in {kept}")
    return replace(storage, words=(*lasting, *left, *storage_warnings(stage, config)))
