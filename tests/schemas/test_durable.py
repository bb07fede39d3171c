"""What is told to the disk."""

import os
from pathlib import Path

import pytest

from matterlog.schemas.storage.durable import sync


def test_files_and_folders_are_told_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself: a file that is there may lack its bytes, one with its bytes its name."""
    told: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: told.append(os.fstat(handle).st_ino))
    file = tmp_path / "file"
    file.write_bytes(b"whole")
    sync(file)
    sync(tmp_path)
    assert told == [file.stat().st_ino, tmp_path.stat().st_ino]
