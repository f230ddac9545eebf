import getpass
import grp
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tagboat.core.elsewhere import elsewhere
from tagboat.runtime.docker.own_container import container_in
from tagboat.runtime.docker.unreachable import why_unreachable

ID = "9a7c" * 16
DOCKER = (
    f"600 580 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - "
    f"ext4 /dev/sda1 rw\n"
)
PODMAN = (
    f"600 580 8:1 /storage/overlay-containers/{ID}/userdata/resolv.conf /etc/resolv.conf "
    f"rw - ext4 /dev/sda1 rw\n"
)
HOST = f"""\
26 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
90 26 0:45 / /var/lib/docker/overlay2/{ID}/merged rw,relatime shared:50 - overlay overlay rw
91 26 0:46 / /var/lib/docker/containers/{ID}/mounts/shm rw,nosuid shared:51 - tmpfs shm rw
"""


@pytest.mark.parametrize(
    ("mountinfo", "found"), [(DOCKER, ID), (HOST + PODMAN, ID), (HOST, None), ("", None)]
)
def test_the_container_is_known_by_the_files_that_the_engine_mounts_in_it(
    mountinfo: str, found: str | None
) -> None:
    assert container_in(mountinfo) == found


def test_only_the_hosts_network_is_of_use() -> None:
    assert elsewhere(None) == elsewhere("host") == ""
    assert "in the network shop_default" in elsewhere("shop_default")


def test_why_there_is_no_connection_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = getpass.getuser()
    denied = why_unreachable(PermissionError(), None)
    assert denied.startswith(
        f"permission denied on its socket; add the user {user} to the group docker "
        f"(sudo usermod -aG docker"
    )
    other = next(group for group in grp.getgrall() if group.gr_gid and group.gr_name != "docker")
    monkeypatch.setattr(os, "stat", lambda *_, **__: SimpleNamespace(st_gid=other.gr_gid))
    assert f"-aG {other.gr_name} {user}" in why_unreachable(PermissionError(), tmp_path / "socket")
    assert "is Docker running there?" in why_unreachable(FileNotFoundError(), None)
    assert why_unreachable(TimeoutError(), None) == ""
