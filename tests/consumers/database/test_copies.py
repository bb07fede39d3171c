"""A copy of the database leaves the disk overwritten, whatever its size; what has another name stays as it is."""

import os
from pathlib import Path

import pytest

from matterlog.consumers.database.copies import shred, sweep

MIB = 1024 * 1024


@pytest.mark.parametrize("size", [1, MIB, 3 * MIB + 1])
def test_every_byte_of_a_shredded_file_is_overwritten(tmp_path: Path, size: int) -> None:
    """Who has the file open sees what is left of it."""
    file = tmp_path / "old.duckdb"
    file.write_bytes(b"x" * size)
    with file.open("rb") as held:
        shred(file)
        assert held.read().strip(b"\0") == b""
    assert not file.exists()


def test_a_file_with_another_name_besides_is_not_overwritten(tmp_path: Path) -> None:
    """Nor is what a symbolic link leads to."""
    (tmp_path / "log.duckdb").write_bytes(b"in use")
    (tmp_path / "copies" / "deeper").mkdir(parents=True)
    os.link(tmp_path / "log.duckdb", tmp_path / "copies" / "old.duckdb")
    (tmp_path / "copies" / "deeper" / "link").symlink_to(tmp_path / "log.duckdb")
    sweep(tmp_path / "copies")
    assert not (tmp_path / "copies").exists()
    assert (tmp_path / "log.duckdb").read_bytes() == b"in use"


def test_a_swept_folders_files_are_overwritten_however_deep(tmp_path: Path) -> None:
    file = tmp_path / "copies" / "spill" / "block"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 100)
    with file.open("rb") as held:
        sweep(tmp_path / "copies")
        assert held.read().strip(b"\0") == b""
