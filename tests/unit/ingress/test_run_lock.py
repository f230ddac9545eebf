import os
from pathlib import Path

import pytest

from tagboat.core.errors import IngressUnavailableError
from tagboat.ingress.run_lock import (
    LOCK_FILE,
    end_runner,
    hold_run_lock,
    run_lock_holder,
    runs_elsewhere,
)


def test_the_holder_of_a_lock_is_here_or_elsewhere(tmp_path: Path) -> None:
    assert not runs_elsewhere(tmp_path)
    with hold_run_lock(tmp_path):
        assert (run_lock_holder(tmp_path), runs_elsewhere(tmp_path)) == (os.getpid(), False)
        (tmp_path / LOCK_FILE).write_text("7 pid:[1]")
        assert (run_lock_holder(tmp_path), runs_elsewhere(tmp_path)) == (7, True)
    assert (run_lock_holder(tmp_path), runs_elsewhere(tmp_path)) == (None, False)


def test_a_lock_of_an_older_version_names_the_process_only(tmp_path: Path) -> None:
    with hold_run_lock(tmp_path):
        (tmp_path / LOCK_FILE).write_text("42")
        assert (run_lock_holder(tmp_path), runs_elsewhere(tmp_path)) == (42, False)


def test_a_process_elsewhere_is_not_signalled(tmp_path: Path) -> None:
    with hold_run_lock(tmp_path):
        (tmp_path / LOCK_FILE).write_text(f"{os.getpid()} pid:[1]")
        with pytest.raises(IngressUnavailableError, match="runs in another container"):
            end_runner(os.getpid(), tmp_path)
