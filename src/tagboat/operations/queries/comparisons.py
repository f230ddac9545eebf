"""Comparisons of before and after a deploy: images, commits, environment, configuration."""

import contextlib
from collections.abc import Iterator

from msgspec import Struct

from tagboat.core.catalog import Project, Stage, run_config
from tagboat.core.changes import (
    ConfigChange,
    KeyChanges,
    config_changes,
    env_changes,
    image_changes,
)
from tagboat.core.commits import Commits, commits_between
from tagboat.core.deploy import Deploy, Instance, Trigger
from tagboat.core.errors import NotFoundError
from tagboat.core.image import Digest, ImageName
from tagboat.core.ports import Reader
from tagboat.core.run import RunConfig
from tagboat.core.values import replace
from tagboat.deploy.context import registry_of
from tagboat.operations.image_facts import WITHIN_S, ImageAt, ImageFacts, KnownImages
from tagboat.operations.services import OperationServices
from tagboat.operations.stage_actions import promotable
from tagboat.operations.way_back import live_in

_NO_CONFIG = "the configuration of what is live was not recorded"


class Side(Struct, frozen=True, kw_only=True):
    """One side of a comparison. `digest` is None before the tag was resolved.

    `size` is bytes on the engine, None where it is not there.
    """

    tag: str
    digest: Digest | None
    deploy_id: str | None = None
    size: int | None = None


class Comparison(Struct, frozen=True, kw_only=True):
    """The difference between what is live in a stage and what a deploy brings there.

    `before` is None where nothing is live. `image` is what differs in the images' own
    configuration, `config` in that of Tagboat, both as fields; `env` only names. `release_command`
    is whether one will run. `changes_nothing` is True if digest and configuration are the same.
    `unknown` says what could not be compared and why, empty if all was.
    """

    project: Project
    stage: Stage
    before: Side | None
    after: Side
    commits: Commits
    env: KeyChanges
    config: tuple[ConfigChange, ...]
    image: tuple[ConfigChange, ...]
    release_command: bool
    changes_nothing: bool
    unknown: str


class PendingChanges(Struct, frozen=True, kw_only=True):
    """The changes of a stage that are saved and not live, field by field.

    `live` is the newest live instance, None where nothing is; then nothing is pending. `reason`
    says why nothing can be compared, empty if it was.
    """

    project: Project
    stage: Stage
    live: Instance | None
    changes: tuple[ConfigChange, ...]
    reason: str


class ComparedFacts(Struct, frozen=True, kw_only=True):
    """The record of both sides, read in one transaction.

    `before_config` is None where it was not recorded, and where nothing is live.
    """

    project: Project
    stage: Stage
    before: Instance | None
    before_config: RunConfig | None
    after: Side
    after_config: RunConfig
    images: tuple[ImageAt, ...]


class ComparisonQueries:
    """Comparisons for the pages of promotions, deploys and stages. Change nothing.

    All raise NotFoundError for what does not exist.
    """

    def __init__(self, services: OperationServices, images: KnownImages) -> None:
        self._services = services
        self._images = images

    async def promotion(
        self, stage_id: str, from_stage_id: str, within_s: float | None = None
    ) -> Comparison:
        """Return what a promotion from another stage would change.

        Engine and registry have `within_s` seconds to describe the images, None for the usual time.
        Raises ConflictError where it cannot be ordered, as the order itself does.
        """

        def work(reader: Reader) -> ComparedFacts:
            stage = reader.stage(stage_id)
            # The rule of the order itself: nothing is shown that would be refused.
            source = promotable(reader, stage, reader.stage(from_stage_id))
            project = reader.project(stage.project_id)
            after = Side(tag=source.tag, digest=source.digest, deploy_id=source.deploy_id)
            return _facts(
                reader,
                (project, stage),
                live_in(reader, stage),
                after,
                source.image,
                run_config(project, stage),
            )

        facts = await self._services.store.read(work)
        release = bool(facts.after_config.options.release_command)
        return await self._compare(facts, release_command=release, within_s=within_s)

    async def deploy(self, deploy_id: str) -> Comparison:
        """Return what a deploy changes, or has changed, in its stage."""

        def work(reader: Reader) -> tuple[Deploy, ComparedFacts]:
            deploy = reader.deploy(deploy_id)
            project, stage = reader.project(deploy.project_id), reader.stage(deploy.stage_id)
            after = Side(tag=deploy.tag, digest=deploy.digest, deploy_id=deploy.id)
            # On record once it has begun; until then it would take that of now.
            config = reader.deploy_config(deploy.id) or run_config(project, stage)
            before = replaced_by(reader, deploy, stage)
            return deploy, _facts(reader, (project, stage), before, after, deploy.image, config)

        deploy, facts = await self._services.store.read(work)
        # A version that is rolled back to was released in its day.
        release = bool(facts.after_config.options.release_command)
        return await self._compare(
            facts, release_command=release and deploy.trigger is not Trigger.ROLLBACK
        )

    async def pending(self, stage_id: str) -> PendingChanges:
        """Return the changes that are saved for a stage, and that its live instance lacks."""

        def work(reader: Reader) -> PendingChanges:
            stage = reader.stage(stage_id)
            return pending_changes(reader, reader.project(stage.project_id), stage)

        return await self._services.store.read(work)

    async def _compare(
        self, facts: ComparedFacts, *, release_command: bool, within_s: float | None = None
    ) -> Comparison:
        # Outside of the transaction: the engine or a registry may have to be asked.
        described = await self._images.describe(facts.images, within_s or WITHIN_S)
        before, after, config = facts.before, facts.after, facts.after_config
        old = described.get(before.digest) if before else None
        new = described.get(after.digest) if after.digest else None
        old_info, new_info = (one.info if one else None for one in (old, new))
        # Without anything live there is no difference of configuration, only a beginning.
        base = facts.before_config if before else config
        same_digest = before is not None and before.digest == after.digest
        return Comparison(
            project=facts.project,
            stage=facts.stage,
            before=Side(
                tag=before.tag,
                digest=before.digest,
                deploy_id=before.deploy_id,
                size=old_info.size if old_info else None,
            )
            if before
            else None,
            after=replace(after, size=new_info.size if new_info else None),
            commits=commits_between(old_info, new_info),
            env=env_changes(base, config) if base else KeyChanges(),
            config=config_changes(base, config) if base else (),
            image=image_changes(old_info, new_info) if old_info and new_info else (),
            release_command=release_command,
            changes_nothing=same_digest
            and base is not None
            and base.fingerprint == config.fingerprint,
            unknown="; ".join(_unknown(facts, old, new)),
        )


def pending_changes(reader: Reader, project: Project, stage: Stage) -> PendingChanges:
    """Return the changes that are saved for a stage, and that its live instance lacks."""
    live = live_in(reader, stage)
    config = reader.deploy_config(live.deploy_id) if live else None
    changes = config_changes(config, run_config(project, stage)) if config else ()
    reason = _NO_CONFIG if live and config is None else ""
    return PendingChanges(project=project, stage=stage, live=live, changes=changes, reason=reason)


def _facts(
    reader: Reader,
    where: tuple[Project, Stage],
    before: Instance | None,
    after: Side,
    image: ImageName | None,
    config: RunConfig,
) -> ComparedFacts:
    project, stage = where
    sides = [(before.image, before.digest)] if before else []
    sides += [(image, after.digest)] if after.digest else []
    return ComparedFacts(
        project=project,
        stage=stage,
        before=before,
        before_config=reader.deploy_config(before.deploy_id) if before else None,
        after=after,
        after_config=config,
        images=tuple(
            ImageAt(name or project.image, digest, registry_of(reader, project, name))
            for name, digest in sides
        ),
    )


def replaced_by(reader: Reader, deploy: Deploy, stage: Stage) -> Instance | None:
    """Return the instance that a deploy replaced or would replace, None if nothing was live."""
    # Newest first; an instance may be forgotten with its deploy by now.
    for instance_id in deploy.replaced:
        with contextlib.suppress(NotFoundError):
            return reader.instance(instance_id)
    if not deploy.status.final:
        live = live_in(reader, stage)
        return live if live and live.deploy_id != deploy.id else None
    # Ids rise with time: the newest one that was there before the deploy was ordered.
    return next(iter(reader.instances_that_lived(stage.id, deploy.id, 1)), None)


def _unknown(facts: ComparedFacts, old: ImageFacts | None, new: ImageFacts | None) -> Iterator[str]:
    if facts.before is not None and facts.before_config is None:
        yield _NO_CONFIG
    if facts.after.digest is None:
        yield f"the digest of {facts.after.tag} is not known yet"
    # Each reason once: most often both images cannot be read for the same one.
    yield from dict.fromkeys(one.reason for one in (old, new) if one and one.reason)
