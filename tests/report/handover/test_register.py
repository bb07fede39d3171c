"""The register of extracts: what was handed out, from any process, before it appears."""

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from matterlog.report.errors import RegisterFailed
from matterlog.report.handover.register import FileRegister, RegisterEntry
from matterlog.report.log.filters import Filter

LOG: Final = UUID("018f0000-0000-7000-8000-00000000000a")
PROCESSES: Final = 6
WRITES: Final = 10
WRITING: Final = f"""
import sys
from pathlib import Path
from tests.report.handover.test_register import an_entry
from matterlog.report.handover.register import FileRegister
for _ in range({WRITES}):
    FileRegister(Path(sys.argv[1])).record(an_entry())
"""


def an_entry(**changes: Any) -> RegisterEntry:
    """An entry of its own; ``changes`` are in it."""
    values = {
        "extract_id": uuid4(),
        "made_at": datetime(2026, 11, 22, 14, 5, 9, 123456, tzinfo=UTC),
        "made_by": "analyst",
        "how": "export",
        "name": '/reports/o\'hara "x".csv',
        "format": "csv",
        "columns": ("user_ID", "matter_ID"),
        "filter": Filter(matters=("m-1", "m-2"), since=datetime(2026, 1, 1, tzinfo=UTC)),
        "rows": 7,
        "bytes": 1234,
        "sha256": "0" * 64,
        "log_id": LOG,
        "last_arrival": 41,
    }
    return RegisterEntry.model_validate(values | changes)


def test_what_is_recorded_comes_back_in_the_order_of_time(tmp_path: Path) -> None:
    """All of it, the filter as a filter."""
    register = FileRegister(tmp_path / "x.sqlite")
    late, early = an_entry(arrived_after=3), an_entry(made_at=datetime(2025, 1, 1, tzinfo=UTC), how="download")
    register.record(late)
    register.record(early)
    assert register.extracts() == [early, late]


def test_what_is_withdrawn_was_never_there(tmp_path: Path) -> None:
    """And withdrawing what is not there does nothing."""
    register, entry = FileRegister(tmp_path / "x.sqlite"), an_entry()
    register.record(entry)
    register.withdraw(entry.extract_id)
    register.withdraw(entry.extract_id)
    assert register.extracts() == []


def test_a_register_that_nobody_wrote_to_is_empty_and_no_file(tmp_path: Path) -> None:
    """Looking makes nothing."""
    assert FileRegister(tmp_path / "x.sqlite").extracts() == []
    assert list(tmp_path.iterdir()) == []


def test_many_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    """From the first moment, when the file is not there yet."""
    target = tmp_path / "x.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITING, target]) for _ in range(PROCESSES)]
    assert [writer.wait(60) for writer in writers] == [0] * PROCESSES
    assert len(FileRegister(target).extracts()) == PROCESSES * WRITES


def test_its_files_are_the_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    """The write-ahead log too, while a process has it open."""
    before = os.umask(0)
    try:
        register = FileRegister(tmp_path / "x.sqlite")
        with register._opened() as connection:
            connection.execute("INSERT INTO extracts SELECT * FROM extracts")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"x.sqlite": 0o600, "x.sqlite-wal": 0o600, "x.sqlite-shm": 0o600}


@pytest.mark.parametrize("content", [b"no database, but long enough to be looked at" * 100, None])
def test_a_register_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    """Something else lies there, or the folder is missing."""
    target = tmp_path / "x.sqlite" if content else tmp_path / "missing" / "x.sqlite"
    if content:
        target.write_bytes(content)
    with pytest.raises(RegisterFailed, match=r"x\.sqlite cannot be used .*: no file is handed out until it can"):
        FileRegister(target).record(an_entry())
