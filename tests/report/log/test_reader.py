"""Reading the file itself: what the log holds, from any state that an owner may leave behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import Move, Position, Record
from matterlog.report.errors import NoDatabase
from matterlog.report.log.reader import LogStatus, PartitionStatus, open_for_reading, read_status
from matterlog.report.log.snapshot import SQL
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles, DatabaseInUse
from testbed.events import NOON, a_deletion, a_view
from tests.report.logs import a_log, apply

ROOT: Final = Path(__file__).parents[3]
OWNER_THAT_IS_KILLED: Final = """
import os, signal, sys
from pathlib import Path
from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_view
from tests.report.logs import apply
store = Store(DatabaseFiles(Path(sys.argv[1])))
apply(store, a_view(), a_view(), a_view())
os.kill(os.getpid(), signal.SIGKILL)
"""
READER: Final = """
import sys
from pathlib import Path
from matterlog.report.log.reader import open_for_reading, read_status
from matterlog.schemas.storage.database_files import DatabaseFiles
with open_for_reading(DatabaseFiles(Path(sys.argv[1]))) as connection:
    print(read_status(connection).rows, flush=True)
    sys.stdin.read()
"""
EMPTY: Final = LogStatus(
    rows=0, matters=0, deleted_matters=0, dead_letters=0, gaps=0, recoveries=0, newest_view_at=None, positions=()
)


def _python(script: str, paths: DatabaseFiles) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, str(paths.database)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _status(paths: DatabaseFiles) -> LogStatus:
    with open_for_reading(paths) as connection:
        return read_status(connection)


def _poison(store: Store) -> None:
    record = Record("matter-views", 3, 7, None, b"k", (), b"not an event")
    move = Move(topic="matter-views", partition=3, began=None, ends=Position(next_offset=8))
    store.apply(decode_records([record], Topics()), [move])


def test_the_status_counts_rows_matters_deletions_and_dead_letters(tmp_path: Path) -> None:
    """A purged matter's views are no rows; the newest view is told as the report writes it."""
    paths = a_log(
        tmp_path,
        *(a_view(matter_id=matter) for matter in ("m-1", "m-1", "m-2", "m-gone")),
        a_view(matter_id="m-2", matter_viewed_at=NOON.replace(microsecond=0, year=2027)),
        a_deletion(matter_id="m-gone"),
    )
    with Store(paths) as store:
        _poison(store)
        with store.transaction() as transaction:
            transaction.connection.execute("UPDATE tombstones SET since = '2026-11-22 06:00'")
            transaction.connection.execute("UPDATE removals SET removed_at = '2026-11-22 05:00'")
    assert _status(paths) == LogStatus(
        rows=4,
        matters=2,
        deleted_matters=1,
        dead_letters=1,
        gaps=0,
        recoveries=0,
        newest_view_at="2027-03-01T12:00:00.000000Z",
        tombstones=1,
        oldest_tombstone_at="2026-11-22T06:00:00.000000Z",
        removals=1,
        oldest_removal_at="2026-11-22T05:00:00.000000Z",
        positions=(
            PartitionStatus(topic="matter-deletions", partition=0, next_offset=1),
            PartitionStatus(topic="matter-views", partition=0, next_offset=5),
            PartitionStatus(topic="matter-views", partition=3, next_offset=8),
        ),
    )


def test_a_log_that_never_read_anything_has_an_empty_status(tmp_path: Path) -> None:
    """No newest view, no positions."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    Store(paths).close()
    assert _status(paths) == EMPTY


class MeddledLog:
    """A connection on which something happens before the positions are read."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, happening: Callable[[], None]) -> None:
        self._connection = connection
        self._happening = happening

    def execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        if statement == SQL["positions"]:
            self._happening()
        return self._connection.execute(statement)


def test_the_status_is_of_one_committed_state(tmp_path: Path) -> None:
    """Also where a batch is committed between the rows and the positions."""
    with Store(a_log(tmp_path, a_view())) as store, store.reader() as connection:
        meddled = MeddledLog(connection, lambda: apply(store, a_view()))
        found = read_status(cast("duckdb.DuckDBPyConnection", meddled))
    assert (found.rows, found.positions[-1].next_offset) == (1, 1)


def test_the_status_leaves_no_transaction_behind(tmp_path: Path) -> None:
    """It can be asked again on the same connection."""
    with open_for_reading(a_log(tmp_path, a_view())) as connection:
        assert read_status(connection) == read_status(connection)


@pytest.mark.parametrize(("next_offset", "end", "lag"), [(5, 9, 4), (9, 9, 0), (12, 9, 0), (5, None, None)])
def test_the_lag_is_what_is_still_to_be_read(next_offset: int, end: int | None, lag: int | None) -> None:
    """Never below none, and not known where nobody asked Kafka."""
    assert PartitionStatus(topic="t", partition=0, next_offset=next_offset, end_offset=end).lag == lag


def test_what_a_killed_owner_left_in_the_write_ahead_log_is_read_and_left_alone(tmp_path: Path) -> None:
    """The committed rows are only there; reading replays them in memory."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with _python(OWNER_THAT_IS_KILLED, paths) as owner:
        assert owner.wait(60) == -signal.SIGKILL
    before = paths.database.read_bytes(), paths.wal.read_bytes()
    assert _status(paths).rows == 3
    assert (paths.database.read_bytes(), paths.wal.read_bytes()) == before


def test_nothing_can_be_written_through_a_reader(tmp_path: Path) -> None:
    """The file is attached read-only."""
    with open_for_reading(a_log(tmp_path, a_view())) as connection, pytest.raises(duckdb.Error):
        connection.execute("DELETE FROM activity")


def test_two_processes_and_a_third_reader_read_at_once(tmp_path: Path) -> None:
    """Readers share the lock; each spills into a folder of its own."""
    paths = a_log(tmp_path, a_view(), a_view())
    with _python(READER, paths) as one, _python(READER, paths) as other:
        assert one.stdout is not None
        assert other.stdout is not None
        assert [one.stdout.readline(), other.stdout.readline()] == ["2\n", "2\n"]
        assert _status(paths).rows == 2
        assert len(list(paths.spill.iterdir())) == 2
        assert (one.poll(), other.poll()) == (None, None)
    assert (one.returncode, other.returncode) == (0, 0)


def test_a_reader_of_the_file_is_refused_while_a_process_owns_it(tmp_path: Path) -> None:
    """The owner's process ID is told: that one is to be asked."""
    paths = a_log(tmp_path, a_view())
    with (
        Store(paths),
        pytest.raises(DatabaseInUse, match=f"is in use by process {os.getpid()}, which owns it") as error,
    ):
        _status(paths)
    assert error.value.process_id == os.getpid()
    assert _status(paths).rows == 1


def test_an_owner_is_refused_while_somebody_reads_the_file(tmp_path: Path) -> None:
    """It says who, and what to do."""
    paths = a_log(tmp_path, a_view())
    with open_for_reading(paths), pytest.raises(DatabaseInUse, match="is in use by commands that read it"):
        Store(paths)


def test_without_a_database_the_way_to_one_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    """A mistyped path leaves no litter."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    with pytest.raises(NoDatabase, match=r"there is no database at .*: run matterlog consume, or give --database"):
        _status(paths)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    """Neither text nor another program's database is taken for one."""
    text = DatabaseFiles(tmp_path / "text.duckdb")
    text.database.write_bytes(b"user_ID,user_name\r\n" * 1000)
    foreign = DatabaseFiles(tmp_path / "foreign.duckdb")
    duckdb.connect(str(foreign.database)).close()
    for paths in (text, foreign):
        with pytest.raises(NoDatabase, match="cannot be read as a matterlog database"):
            _status(paths)


def test_a_path_with_quotes_and_spaces_is_a_path(tmp_path: Path) -> None:
    """It stands in a statement."""
    folder = tmp_path / 'it\'s; DROP "x"'
    folder.mkdir()
    assert _status(a_log(folder, a_view())).rows == 1


def test_without_a_place_to_spill_reading_is_refused_with_the_reason(tmp_path: Path) -> None:
    """A file stands where the folder should."""
    paths = a_log(tmp_path, a_view())
    paths.spill.write_text("in the way")
    with pytest.raises(NoDatabase, match="the folder for temporary files"):
        _status(paths)


def test_a_readers_session_speaks_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever zone the host is in."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    with open_for_reading(a_log(tmp_path)) as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
