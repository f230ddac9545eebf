"""The data directory is one user's own, and nobody leads its files elsewhere."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from tagboat.core.errors import SettingsError
from tagboat.data_dir import check_data_dir, open_data_dir
from tagboat.private_files import write_private


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "new" / "data") as data_dir:
        data_dir.announce_server("http://127.0.0.1:1", "token")
    assert stat.S_IMODE(data_dir.path.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in data_dir.path.iterdir())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_one_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    with pytest.raises(
        SettingsError,
        match=f"other users may write to the data directory {data}; .* chmod 700 {data}",
    ):
        open_data_dir(data).__enter__()
    assert list(data.iterdir()) == []


def test_one_that_others_may_read_is_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    with open_data_dir(tmp_path / "data"):
        pass


def test_one_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(SettingsError, match="belongs to another user"):
        open_data_dir(tmp_path).__enter__()


def test_root_is_to_act_as_the_servers_user(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(st_uid=64999, st_mode=0o40700)
    monkeypatch.setattr(Path, "stat", lambda _: found)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SettingsError, match="run this as that user: sudo -u '#64999' ") as raised:
        check_data_dir(Path("/data"))
    # A server of that user could not start any more.
    assert "chown" not in str(raised.value)


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="cannot be used"):
        open_data_dir(tmp_path).__enter__()
    assert not (tmp_path / "elsewhere").exists()


def test_a_private_file_follows_no_link_that_somebody_has_put_there(tmp_path: Path) -> None:
    precious, target = tmp_path / "precious", tmp_path / "key"
    precious.write_text("precious")
    (tmp_path / "key.new").symlink_to(precious)
    target.symlink_to(precious)
    write_private(target, "secret")
    assert precious.read_text() == "precious"
    assert (target.read_text(), target.is_symlink()) == ("secret", False)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["key", "precious"]
