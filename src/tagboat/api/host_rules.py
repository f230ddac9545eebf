"""What of the machine a project or stage asks for, against what the server allows and what can work together."""

from collections.abc import Callable

from tagboat.api.answers import FieldError
from tagboat.core.catalog import Stage, Strategy
from tagboat.core.errors import InvalidValueError
from tagboat.core.host_access import lies_within, parse_bind, parse_device
from tagboat.core.run import RunOptions

_SECRETS_FOLDER = "/run/secrets"


def check_host_paths(asked: RunOptions, before: RunOptions, allowed: Callable[[str], str]) -> None:
    """Raise FieldError where a path of the machine that is newly asked for is not allowed."""
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
    """Raise FieldError where two things would be mounted on one path, or files be put where they cannot be seen."""
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
    if stage.strategy is Strategy.ROLLING:
        raise FieldError(
            "publish",
            "the new instance cannot have a port that the old one still has; leave strategy out (null)",
        )
