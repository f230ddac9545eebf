"""How an app is run, as projects and stages show it and are told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from tagboat.api import host_values, run_values
from tagboat.api.bodies import Answer, Asked, unset, write_only
from tagboat.api.values import MAX_ENV
from tagboat.core.errors import FieldError
from tagboat.core.run import RunOptions

_MERGED = ("secrets", "secret_files")
_LISTS = ("command", "networks", "release_command", "cap_add", "devices", "binds", "publish")


class RunAsked(Asked):
    """How to run the app. `secrets` and `secret_files` are merged into those there are, name by name; null removes one."""

    secrets: run_values.Secrets = write_only()
    secret_files: run_values.SecretFiles = write_only()
    volumes: run_values.Volumes = unset()
    memory: run_values.Memory = unset()
    cpus: run_values.Cpus = unset()
    pids: run_values.Pids = unset()
    command: run_values.Words = unset()
    user: run_values.User = unset()
    networks: run_values.Networks = unset()
    labels: run_values.Labels = unset()
    stop_signal: run_values.StopSignal = unset()
    stop_timeout_s: run_values.StopTimeout | None = None
    release_command: run_values.Words = unset()
    release_timeout_s: run_values.ReleaseTimeout | None = None
    entrypoint: host_values.Entrypoint = unset()
    extra_hosts: host_values.ExtraHosts = unset()
    shm_size: run_values.ShmSize = unset()
    init: bool | None = None
    tmpfs: host_values.Tmpfs = unset()
    read_only: bool | None = None
    cap_add: host_values.Capabilities = unset()
    devices: host_values.Devices = unset()
    binds: host_values.Binds = unset()
    publish: host_values.Publish = unset()
    image_labels: bool | None = None


class RunShown(Answer):
    """How the app is run. `secrets` and `secret_files` are names only; sizes are in bytes; 0, empty and null: not said."""

    secrets: list[str]
    secret_files: list[str]
    volumes: Mapping[str, str]
    memory: int
    cpus: float
    pids: int
    command: list[str]
    user: str
    networks: list[str]
    labels: Mapping[str, str]
    stop_signal: str
    stop_timeout_s: int | None
    release_command: list[str]
    release_timeout_s: int | None
    entrypoint: list[str] | Literal["image"]
    extra_hosts: Mapping[str, str]
    shm_size: int
    init: bool | None
    tmpfs: Mapping[str, str]
    read_only: bool | None
    cap_add: list[str]
    devices: list[str]
    binds: list[str]
    publish: list[str]
    image_labels: bool | None


def split_run(values: Mapping[str, Any], before: RunOptions) -> dict[str, Any]:
    """`values` with those that say how the app is run made into the one value `run`, on top of those `before`.

    Raises FieldError where it would be too many secrets.
    """
    said = {name: value for name, value in values.items() if name in RunAsked.model_fields}
    rest = {name: value for name, value in values.items() if name not in said}
    for name in _MERGED:
        if name in said:
            said[name] = _merged(name, getattr(before, name), said[name])
    for name in _LISTS:
        if name in said:
            said[name] = tuple(said[name])
    if isinstance(said.get("entrypoint"), list):
        said["entrypoint"] = tuple(said["entrypoint"])
    return {**rest, "run": replace(before, **said)}


def _merged(
    field: str, before: Mapping[str, str], changes: Mapping[str, str | None]
) -> dict[str, str]:
    merged = {name: value for name, value in {**before, **changes}.items() if value is not None}
    if len(merged) > MAX_ENV:
        raise FieldError(field, f"would be {len(merged)} with those there are; at most {MAX_ENV}")
    return merged


def run_view(run: RunOptions) -> dict[str, Any]:
    """The fields of `RunShown`."""
    shown: dict[str, object] = {name: getattr(run, name) for name in RunShown.model_fields}
    entrypoint = run.entrypoint if isinstance(run.entrypoint, str) else list(run.entrypoint)
    return {
        **shown,
        "entrypoint": entrypoint,
        **{name: sorted(getattr(run, name)) for name in _MERGED},
        **{name: list(getattr(run, name)) for name in _LISTS},
    }
