"""The data that an app keeps between versions, and the strategy that follows from it."""

import hashlib
import re
from collections.abc import Mapping

from tagboat.core.catalog import Project, Stage, Strategy, run_config
from tagboat.core.host_access import parse_bind
from tagboat.core.run import RunConfig, RunOptions

_NO_SLUG = re.compile(r"[^a-z0-9]+")
_LONGEST_SLUG = 40


def volume_name(stage_id: str, name: str) -> str:
    """Return the engine's name of a stage's volume.

    By the id, so that a change of names does not lose what is in it.
    """
    return f"tagboat-{stage_id}-{name}"


def image_volume_name(stage: Stage, path: str) -> str:
    """Return the engine's name of the stage's volume for a VOLUME of its image.

    No name of a person's begins with a dot.
    """
    slug = _NO_SLUG.sub("-", path.lower()).strip("-")[:_LONGEST_SLUG]
    mark = hashlib.sha256(path.encode()).hexdigest()[:8]
    # Adopted volumes have the data from an earlier version of Tagboat.
    return stage.adopted_volumes.get(path) or volume_name(stage.id, f".{slug}-{mark}")


def lasting_paths(config: RunConfig) -> list[str]:
    """Return the VOLUMEs of the image that nothing else is mounted on.

    Each gets a volume of the stage, so that its data lasts.
    """
    taken = mounted_paths(config.options)
    return [path for path in config.image_volumes if path not in taken]


def mounted_paths(options: RunOptions) -> set[str]:
    """Return the paths in the container on which the options have something mounted."""
    return {
        *options.volumes.values(),
        *options.tmpfs,
        *(parse_bind(text).target for text in options.binds),
    }


def stage_volumes(stage: Stage, config: RunConfig) -> dict[str, str]:
    """Return the paths of all volumes of the stage, by the engine's names of them."""
    named = {
        # A path begins with a slash, and no name does: both can be keys of one map.
        stage.adopted_volumes.get(name) or volume_name(stage.id, name): path
        for name, path in config.options.volumes.items()
    }
    return named | {image_volume_name(stage, path): path for path in lasting_paths(config)}


def kept(config: RunConfig) -> list[str]:
    """Return the paths in the container that instances of a stage share and may write to."""
    # Nothing is written to the others, so two versions may share them.
    binds = [bind.target for bind in map(parse_bind, config.options.binds) if not bind.read_only]
    return [*config.options.volumes.values(), *lasting_paths(config), *binds]


def strategy_in_force(stage: Stage, config: RunConfig) -> Strategy:
    """Return the strategy of a deploy: the one that was set, else by what the app keeps.

    If several tags are live side by side, none of them makes way for another.
    """
    if stage.strategy is not None:
        return stage.strategy
    # Neither two writers at one volume nor two programs at one port.
    cannot_overlap = bool(kept(config) or config.options.publish)
    return Strategy.RECREATE if cannot_overlap and stage.max_instances == 1 else Strategy.ROLLING


def storage_warnings(stage: Stage, config: RunConfig) -> list[str]:
    """Return warnings about the data that the app keeps, each with its correction."""
    paths = ", ".join(kept(config))
    if not paths or strategy_in_force(stage, config) is Strategy.RECREATE:
        return []
    if stage.max_instances > 1:
        return [
            (
                f"all instances of the stage, up to {stage.max_instances}, share what is at"
                f" {paths}, and write to it at once"
            )
        ]
    overlap = (
        "the strategy is rolling, so at each deploy old and new instance write at once to what is"
        f" at {paths}"
    )
    return [f"{overlap}; with strategy null the old one stops first"]


def stage_warnings(project: Project, stage: Stage) -> list[str]:
    """Return these warnings for a stage, as far as they are known before a deploy."""
    return storage_warnings(stage, run_config(project, stage))


def taken_over(config: RunConfig, stage: Stage, found: Mapping[str, str]) -> dict[str, str]:
    """Return the volumes of the old container, by path, that the stage takes over."""
    # A mount of the new configuration wins over what was there.
    used = mounted_paths(config.options)
    return {
        path: name
        for path, name in found.items()
        if path not in used and path not in stage.adopted_volumes
    }
