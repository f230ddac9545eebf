"""The traces of an engine with its own folder and control group, for one that was killed."""

from contextlib import suppress
from pathlib import Path

from demo.waiting import await_value

_GONE_S = 60.0


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points below a folder, the innermost first."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((place for place in mounted if place.startswith(f"{folder}/")), reverse=True)


def engine_cgroup_pids(parent: str) -> list[int]:
    """Return the processes of the containers of an engine whose `--cgroup-parent` is `/parent`."""
    files = {file for root in cgroups_of(parent) for file in root.rglob("cgroup.procs")}
    return sorted({int(pid) for file in files for pid in file.read_text().split()})


def cgroups_of(name: str) -> list[Path]:
    """Return the control groups `name`, which may hold wildcards, directly below each root."""
    # Version 1 has a hierarchy for each kind of resource, version 2 one for all.
    roots = Path("/sys/fs/cgroup")
    return [*roots.glob(name), *roots.glob(f"*/{name}")]


def remove_cgroups(name: str) -> None:
    """Remove the control groups `name` with all below them. Raises DemoError if one stays."""

    def look() -> bool | None:
        for root in cgroups_of(name):
            folders = sorted((one for one in root.rglob("*") if one.is_dir()), reverse=True)
            for folder in (*folders, root):
                # One whose last process has just been killed is in use for a moment.
                with suppress(OSError):
                    folder.rmdir()
        return None if cgroups_of(name) else True

    await_value(look, _GONE_S, f"the removal of the control groups {name}")
