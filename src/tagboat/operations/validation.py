"""Rules for values of a project and its stages that fit one by one but not together.

All checks raise FieldError, which names the field.
"""

from collections.abc import Callable, Sequence

from tagboat.core.catalog import Project, Stage, Strategy, run_config
from tagboat.core.errors import FieldError, InvalidValueError
from tagboat.core.host_access import lies_within, parse_bind, parse_device
from tagboat.core.placement import placement_trouble
from tagboat.core.project_webhook import Signature
from tagboat.core.run import RunOptions

# Docker's own place for secrets, which images expect.
_SECRETS_FOLDER = "/run/secrets"
SHORTEST_SHARED_SECRET = 8
"""Characters. Whoever sees one signed call can try shorter ones without asking the server."""


def check_signature(signature: Signature | None, field: str) -> None:
    """Raise FieldError for `field` where the shared secret of a signature is short."""
    if signature is not None and len(signature.secret) < SHORTEST_SHARED_SECRET:
        raise FieldError(
            field,
            f"a shared secret needs at least {SHORTEST_SHARED_SECRET} characters;"
            " 'openssl rand -hex 24' makes one",
        )


def check_project(project: Project, stages: Sequence[Stage]) -> None:
    """Raise FieldError unless containers can be run as `project` and each of its `stages` say."""
    # Before the first deploy, the image may still bring a port.
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


def check_placement(project: Project, stage: Stage, *, is_cluster: bool) -> None:
    """Raise FieldError unless the engine can run the tasks of `stage` as it says."""
    field, why = placement_trouble(stage, run_config(project, stage), is_cluster=is_cluster)
    if field:
        raise FieldError(field, why)


def _check_run(project: Project, stage: Stage) -> None:
    _refuse_secrets_in_env([("the project", project), (f"the stage {stage.name}", stage)])
    options = stage.run.over(project.run)
    check_mounts(options)
    check_publish(options, stage)
    # The model checks each map by itself; only here those of project and stage come together.
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
    """Raise FieldError where a name is in both: neither wins, so the writer would be wrong."""
    for where, one in holders:
        for elsewhere, other in holders:
            both = one.run.secrets.keys() & other.env.keys()
            if both:
                raise FieldError(
                    "secrets",
                    f"{min(both)} is a secret of {where} and in env of {elsewhere};"
                    " leave one of the two out",
                )


def check_host_paths(asked: RunOptions, before: RunOptions, allowed: Callable[[str], str]) -> None:
    """Raise FieldError where a path of the machine that is newly asked for is not allowed."""
    # Only new ones: a list that has become shorter must not make other changes impossible.
    binds = [("binds", parse_bind(text).source) for text in asked.binds if text not in before.binds]
    devices = [
        ("devices", parse_device(text).source)
        for text in asked.devices
        if text not in before.devices
    ]
    for field, path in (*binds, *devices):
        try:
            allowed(path)
        except InvalidValueError as error:
            raise FieldError(field, str(error)) from None


def check_mounts(options: RunOptions) -> None:
    """Raise FieldError where two things have one path, or one hides the secret files."""
    taken = {path: f"the volume {name}" for name, path in options.volumes.items()}
    binds = [("binds", parse_bind(text).target) for text in options.binds]
    for field, path in (*binds, *(("tmpfs", path) for path in options.tmpfs)):
        if path in taken:
            raise FieldError(
                field, f"{path} has {taken[path]} already; give each a path of its own"
            )
        taken[path] = f"one of {field}"
    if not options.secret_files:
        return
    if options.read_only:
        raise FieldError(
            "read_only",
            "the engine puts no secret_files into a container that is read-only; use secrets",
        )
    if hiding := [path for path in options.tmpfs if lies_within(_SECRETS_FOLDER, path)]:
        raise FieldError(
            "tmpfs", f"{hiding[0]} would hide the secret_files at {_SECRETS_FOLDER}; leave it out"
        )


def check_publish(options: RunOptions, stage: Stage) -> None:
    """Raise FieldError where a port of the machine would be needed twice at once."""
    if not options.publish:
        return
    if stage.max_instances > 1:
        raise FieldError(
            "publish",
            f"one port cannot be had by {stage.max_instances} instances; it needs max_instances 1",
        )
    # With strategy null, a stage that publishes ports stops the old instance first.
    if stage.strategy is Strategy.ROLLING:
        raise FieldError(
            "publish",
            "the new instance cannot have a port that the old one still has;"
            " leave strategy out (null)",
        )
