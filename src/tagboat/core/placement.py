"""Placement: how many tasks a stage has, and on which machines of a cluster they may run."""

import re
from collections.abc import Sequence

from tagboat.core.catalog import Project, Stage, Strategy, run_config
from tagboat.core.errors import InvalidValueError
from tagboat.core.run import EngineKind, RunConfig
from tagboat.core.storage import kept, stage_volumes, strategy_in_force

MOST_REPLICAS = 100
MOST_CONSTRAINTS = 20
MAX_CONSTRAINT = 255

# Keys and values as Docker Swarm takes them (`docker service create --constraint`).
_KEY = (
    r"node\.(?:id|hostname|ip|role|platform\.(?:os|arch)|labels\.[A-Za-z0-9._/-]+)"
    r"|engine\.labels\.[A-Za-z0-9._/-]+"
)
CONSTRAINT_PATTERN = rf"^(?:{_KEY})(?:==|!=)[A-Za-z0-9:][A-Za-z0-9_.+:/-]*$"
_CONSTRAINT = re.compile(CONSTRAINT_PATTERN.strip("^$"), re.ASCII)
# A service has a size in bytes and a mode; Docker mounts it noexec, nosuid and nodev by itself.
_SWARM_TMPFS = re.compile(
    r"(?:size=\d+[kmg]?|mode=[0-7]{3,4}|rw|ro|noexec|nosuid|nodev)?", re.IGNORECASE
)
_ONE_NODE = ("node.hostname==", "node.id==")


def parse_constraint(text: str) -> str:
    """Return a placement constraint: `KEY==VALUE` or `KEY!=VALUE`, without spaces.

    Raises InvalidValueError for anything else.
    """
    if len(text) > MAX_CONSTRAINT or not _CONSTRAINT.fullmatch(text):
        raise InvalidValueError(
            "must be KEY==VALUE or KEY!=VALUE with a key of Docker Swarm, such as"
            " node.labels.zone==a or node.hostname==n1"
        )
    return text


def names_one_node(constraints: Sequence[str]) -> bool:
    """Return whether only one machine can fit."""
    return any(one.startswith(_ONE_NODE) for one in constraints)


def data_left_behind(stage: Stage, before: RunConfig, after: RunConfig) -> list[str]:
    """Return a warning where volumes of `stage` stay on another machine than `after` asks for.

    `before` is the configuration of what has run until now.
    """
    old, new = (
        " and ".join(sorted(one for one in config.constraints if one.startswith(_ONE_NODE)))
        for config in (before, after)
    )
    had = stage_volumes(stage, before)
    paths = ", ".join(path for name, path in stage_volumes(stage, after).items() if name in had)
    # Docker Swarm takes the names of nodes in any case.
    if not paths or old.casefold() == new.casefold():
        return []
    here = "the server's own machine"
    words = (
        f"what the app has kept at {paths} stays on {old or here}: on {new or here} the app starts"
        " with an empty volume, or with what is there from an earlier time; to take the data along,"
        " copy it there first"
    )
    return [words]


def volumes_on_nodes(project: Project, stage: Stage, *, is_cluster: bool) -> dict[str, str]:
    """Return the volumes that a stage has on a node of a swarm, and the node that it asks for.

    They are by the engine's names. Empty for a stage on one machine; `is_cluster` as below.
    """
    config = run_config(project, stage)
    if not is_cluster and config.engine is not EngineKind.SWARM:
        return {}
    named = [one.partition("==")[2] for one in config.constraints if one.startswith(_ONE_NODE)]
    return dict.fromkeys(stage_volumes(stage, config), next(iter(named), ""))


def unknown_to_a_swarm(tmpfs: str) -> str:
    """Return the first of the mount options that Docker Swarm cannot give, empty for none."""
    return next((one for one in tmpfs.split(",") if not _SWARM_TMPFS.fullmatch(one)), "")


def placement_trouble(stage: Stage, config: RunConfig, *, is_cluster: bool) -> tuple[str, str]:
    """Return the field of a stage that its engine cannot do as asked, and why; empty for none.

    `is_cluster` is True where the server's engine runs tasks on several machines.
    """
    field, why = "", ""
    if is_cluster and config.engine is EngineKind.DOCKER:
        field = "engine"
        why = (
            "the server uses a swarm only (TAGBOAT_ENGINE=swarm): leave it out, or start the server"
            " with TAGBOAT_ENGINE=docker and set swarm in the stages that are to run there"
        )
    elif not is_cluster and config.engine is not EngineKind.SWARM:
        needs = (
            "Docker Swarm (set engine to swarm, or TAGBOAT_ENGINE=swarm for the server), for this"
            " engine has one machine"
        )
        if config.replicas > 1:
            field, why = "replicas", f"more than 1 needs {needs}: set it to 1"
        elif config.constraints:
            field, why = "constraints", f"they need {needs}: remove them"
    elif unknown := [
        f"{option} for {path}"
        for path, options in config.options.tmpfs.items()
        if (option := unknown_to_a_swarm(options))
    ]:
        field = "tmpfs"
        why = (
            f"Docker Swarm has no option {unknown[0]}: remove it (it knows size in bytes, or with"
            " k, m or g, and mode, ro, rw, noexec, nosuid and nodev)"
        )
    elif not names_one_node(config.constraints):
        name_it = "name it with a constraint such as node.hostname==n1"
        if paths := ", ".join(kept(config)):
            field = "constraints"
            why = f"what the app keeps at {paths} is on one node: {name_it}, or keep nothing"
        elif strategy_in_force(stage, config) is Strategy.RECREATE:
            # Two copies ran for more than a minute where a node was cut off, and came back.
            field = "constraints"
            why = (
                "an app that cannot run twice (strategy recreate) needs one node, since the swarm"
                f" starts it again elsewhere when a node is cut off: {name_it}"
            )
    return field, why
