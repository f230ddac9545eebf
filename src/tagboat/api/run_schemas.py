"""How an app is run, as requests and responses of projects and stages have it."""

from collections.abc import Mapping
from typing import Any, Literal

from tagboat.api import host_values, run_values, values
from tagboat.api.bodies import RequestModel, ResponseModel, unset, write_only
from tagboat.core.run import RunOptions
from tagboat.core.run_changes import LIST_OPTIONS

_SECRET_MAPS = ("secrets", "secret_files")


class RunModel(RequestModel):
    """How to run the app.

    A map is merged into the present one, name by name; a value of null removes its name, and null
    for the whole map removes all (RFC 7396). Any other value replaces the present one.
    """

    env: values.Env | None = unset()
    secrets: run_values.SecretMap | None = write_only()
    secret_files: run_values.SecretFileMap | None = write_only()
    volumes: run_values.VolumeMap | None = unset()
    memory: run_values.MemorySize = unset()
    cpus: run_values.CpuNumber = unset()
    pids: run_values.PidNumber = unset()
    command: run_values.CommandWords = unset()
    user: run_values.UserText = unset()
    networks: run_values.NetworkNames = unset()
    labels: run_values.LabelMap | None = unset()
    stop_signal: run_values.StopSignal = unset()
    stop_timeout_s: run_values.StopTimeoutS | None = None
    release_command: run_values.CommandWords = unset()
    release_timeout_s: run_values.ReleaseTimeoutS | None = None
    entrypoint: host_values.EntrypointWords = unset()
    extra_hosts: host_values.ExtraHosts | None = unset()
    shm_size: run_values.ShmSize = unset()
    init: bool | None = None
    tmpfs: host_values.TmpfsMap | None = unset()
    read_only: bool | None = None
    cap_add: host_values.Capabilities = unset()
    devices: host_values.Devices = unset()
    binds: host_values.Binds = unset()
    publish: host_values.PublishedPorts = unset()
    image_labels: bool | None = None


class RunOut(ResponseModel):
    """How the app is run. `secrets` and `secret_files` are names only; sizes are in bytes.

    0, empty and null mean: not set here.
    """

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


def run_view(run: RunOptions) -> dict[str, Any]:
    """Return the fields of `RunOut`."""
    shown: dict[str, object] = {name: getattr(run, name) for name in RunOut.model_fields}
    entrypoint = run.entrypoint if isinstance(run.entrypoint, str) else list(run.entrypoint)
    return {
        **shown,
        "entrypoint": entrypoint,
        **{name: sorted(getattr(run, name)) for name in _SECRET_MAPS},
        **{name: list(getattr(run, name)) for name in LIST_OPTIONS},
    }
