"""Private folders for a moment: nothing stays of them, not after a kill either."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from matterlog.schemas.storage import scratch_folders
from matterlog.schemas.storage.scratch_folders import scratch_folder, writable_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from matterlog.schemas.storage.scratch_folders import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "rows").write_text("Ann")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_scratch_folder_is_its_users_alone_and_goes_with_its_block(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with scratch_folder(tmp_path / "x") as folder:
            assert folder.parent == tmp_path / "x"
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            (folder / "rows").touch()
    finally:
        os.umask(before)
    assert list((tmp_path / "x").iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock tells them apart: a process that ends in any way lets go of it."""
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with scratch_folder(tmp_path) as first:
        assert left.exists()  # it may be about to be locked
        monkeypatch.setattr(scratch_folders, "_NEW_SECONDS", 0.0)
        with scratch_folder(tmp_path) as second:
            assert sorted(tmp_path.iterdir()) == sorted([first, second])


def test_a_folder_that_cannot_be_written_gives_way_to_that_of_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever only reads the log writes nothing beside it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert writable_folder(tmp_path / "missing" / "x") == tmp_path
