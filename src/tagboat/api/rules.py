"""What of a project and its stages cannot work together, though each value by itself could."""

from collections.abc import Sequence

from tagboat.api.answers import FieldError
from tagboat.api.host_rules import check_mounts, check_publish
from tagboat.core.catalog import Project, Stage, Strategy


def check_project(project: Project, stages: Sequence[Stage]) -> None:
    """Raise FieldError unless containers can be run as `project` and each of its `stages` say."""
    if project.healthcheck.startswith("/") and project.inspected and not project.port:
        raise FieldError("healthcheck", "a path needs a port to be asked at; give the port as well")
    _refuse_secrets_in_env([("the project", project)])
    check_mounts(project.run)
    for stage in stages:
        _check_run(project, stage)


def check_stage(project: Project, stage: Stage) -> None:
    """Raise FieldError unless containers can be run as `project` and `stage` say."""
    several = stage.max_instances > 1
    if several and stage.strategy is Strategy.RECREATE:
        raise FieldError(
            "strategy", "recreate is for an app that cannot run twice; it needs max_instances 1"
        )
    if stage.ttl_h is not None and not several:
        raise FieldError(
            "ttl_h", "would take the only instance away; it needs max_instances above 1, or null"
        )
    _check_run(project, stage)


def _check_run(project: Project, stage: Stage) -> None:
    _refuse_secrets_in_env([("the project", project), (f"the stage {stage.name}", stage)])
    options = stage.run.over(project.run)
    check_mounts(options)
    check_publish(options, stage)
    names: dict[str, str] = {}
    for name, path in options.volumes.items():
        if path in names:
            both = f"{names[path]} and {name}"
            raise FieldError(
                "volumes",
                f"{both}, of the project and the stage {stage.name}, both have the path {path}",
            )
        names[path] = name


def _refuse_secrets_in_env(holders: Sequence[tuple[str, Project | Stage]]) -> None:
    """Neither wins: whoever wrote both would take one for what the app gets, and be wrong."""
    for where, one in holders:
        for elsewhere, other in holders:
            both = one.run.secrets.keys() & other.env.keys()
            if both:
                raise FieldError(
                    "secrets",
                    f"{min(both)} is a secret of {where} and in env of {elsewhere}; leave one of the two out",
                )
