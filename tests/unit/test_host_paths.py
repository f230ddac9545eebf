"""Which paths of the machine a container may be given."""

from pathlib import Path

import pytest

from tagboat.core.errors import InvalidValueError
from tagboat.host_paths import HostPaths, host_paths

ENGINE = "unix:///var/run/docker.sock"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "app").mkdir(parents=True)
    return made


def allowing(root: Path, **more: str) -> HostPaths:
    return host_paths(
        (str(root),), more.get("engine", ENGINE), Path(more.get("data_dir", "/var/lib/tagboat"))
    )


def test_without_roots_nothing_is_allowed() -> None:
    with pytest.raises(
        InvalidValueError,
        match="an administrator of the server can allow some with TAGBOAT_BIND_ROOTS",
    ):
        host_paths((), ENGINE, Path("/x")).where("/srv")


def test_roots_and_what_is_below_them_are_allowed_even_if_it_is_not_there(root: Path) -> None:
    for path in (root, root / "app", root / "not" / "yet"):
        assert allowing(root).where(str(path)) == str(path)


def test_what_lies_elsewhere_is_not(root: Path) -> None:
    for path in ("/", "/etc", str(root.parent), f"{root}-2"):
        with pytest.raises(
            InvalidValueError,
            match=f"{path} is not below a path that TAGBOAT_BIND_ROOTS allows: {root}",
        ):
            allowing(root).where(path)


def test_no_link_leads_out(root: Path) -> None:
    (root / "out").symlink_to("/etc")
    (root / "app" / "up").symlink_to("../..")
    for path in (root / "out", root / "out" / "ssh", root / "app" / "up" / "other"):
        with pytest.raises(InvalidValueError, match="leads to .* is not below"):
            allowing(root).where(str(path))


def test_links_within_and_a_root_that_is_one_are_followed(root: Path, tmp_path: Path) -> None:
    (root / "current").symlink_to("app")
    (tmp_path / "alias").symlink_to(root)
    assert allowing(root).where(str(root / "current" / "x")) == str(root / "app" / "x")
    assert allowing(tmp_path / "alias").where(str(tmp_path / "alias" / "app")) == str(root / "app")


@pytest.mark.parametrize(
    "path", ["/var/run/docker.sock", "/run/docker.sock", "/run", "/var/run", "/", "/run/containerd"]
)
def test_the_engines_socket_is_nobodys(path: str) -> None:
    with pytest.raises(InvalidValueError, match="with which a container could control the host"):
        host_paths(("/",), ENGINE, Path("/x")).where(path)


def test_nor_is_the_socket_that_the_server_uses_or_what_the_server_keeps(root: Path) -> None:
    with pytest.raises(InvalidValueError, match="could control the host"):
        allowing(root, engine=f"unix://{root}/app/engine.sock").where(str(root / "app"))
    for path in (root, root / "data", root / "data" / "encryption.key"):
        with pytest.raises(InvalidValueError, match="could control the host"):
            allowing(root, data_dir=f"{root}/data").where(str(path))
    assert allowing(root, data_dir=f"{root}/data").where(f"{root}/app") == f"{root}/app"


def test_links_of_this_machine_say_nothing_of_an_engine_elsewhere(root: Path) -> None:
    (root / "here").symlink_to("/etc")
    assert allowing(root, engine="tcp://far:2376").where(str(root / "here")) == str(root / "here")
