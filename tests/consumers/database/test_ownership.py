"""One process owns a database; the lock says who, and outlives what drops DuckDB's own."""

import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.errors import DatabaseReplaced
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.database_files import DatabaseFiles, DatabaseInUse
from testbed.events import a_deletion, a_view, record_of
from testbed.feed import Feed, apply_records, files_in, rows
from tests.consumers.processes import run_python, running_python

# Owns the database until its standard input ends.
OWN = """
import sys
from pathlib import Path
from matterlog.consumers.database.store import Store
from testbed.feed import files_in

with Store(files_in(Path(sys.argv[1]))):
    print("ready", flush=True)
    sys.stdin.read()
"""
READ = """
import sys
from pathlib import Path
from testbed.feed import files_in

with files_in(Path(sys.argv[1])).shared():
    print("ready", flush=True)
    sys.stdin.read()
"""
# Prints who is in the way, by process ID, or that nobody is.
TRY = """
import sys
from pathlib import Path
from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseInUse
from testbed.feed import files_in

paths = files_in(Path(sys.argv[1]))
try:
    with Store(paths) if sys.argv[2] == "own" else paths.shared():
        print("free")
except DatabaseInUse as error:
    print(error.process_id)
"""


def test_a_second_owner_is_told_the_process_id_of_the_first(paths: DatabaseFiles) -> None:
    with running_python(OWN, paths.database.parent) as owner:
        with pytest.raises(DatabaseInUse, match=f"process {owner.pid}, which owns it") as refusal:
            Store(paths)
        assert refusal.value.process_id == owner.pid


def test_a_reader_of_the_file_is_told_the_process_id_of_its_owner(paths: DatabaseFiles) -> None:
    with running_python(OWN, paths.database.parent) as owner, pytest.raises(DatabaseInUse) as refusal, paths.shared():
        pytest.fail("read a file that somebody writes")
    assert refusal.value.process_id == owner.pid


def test_an_owner_is_refused_while_somebody_reads_the_file(paths: DatabaseFiles) -> None:
    with running_python(READ, paths.database.parent), paths.shared():
        with pytest.raises(DatabaseInUse, match="commands that read it") as refusal:
            Store(paths)
        assert refusal.value.process_id is None


def test_a_second_store_in_one_process_is_refused_too(paths: DatabaseFiles, store: Store) -> None:
    with pytest.raises(DatabaseInUse, match=f"process {os.getpid()},"):
        Store(paths)
    assert store.positions() == {}


def test_whoever_is_refused_changes_nothing(paths: DatabaseFiles, store: Store) -> None:
    apply_records(store, record_of(a_view(), 0, 0))
    paths.spill.mkdir(exist_ok=True)
    assert run_python(TRY, paths.database.parent, "own") == f"{os.getpid()}\n"
    assert paths.spill.exists()
    assert apply_records(store, record_of(a_view(), 0, 1)).views == 1


def read_database(paths: DatabaseFiles) -> None:
    with paths.database.open("rb") as file:
        file.read(10)


def read_lock(paths: DatabaseFiles) -> None:
    paths.lock.read_text()


@pytest.mark.parametrize("touch", [read_database, read_lock])
def test_the_lock_outlives_what_drops_duckdbs_own(
    paths: DatabaseFiles, store: Store, touch: Callable[[DatabaseFiles], None]
) -> None:
    """POSIX drops a process's record locks on a file when the process closes it, whoever opened it."""
    apply_records(store, record_of(a_view(), 0, 0))
    touch(paths)
    assert run_python(TRY, paths.database.parent, "own") == f"{os.getpid()}\n"
    assert run_python(TRY, paths.database.parent, "read") == f"{os.getpid()}\n"


def test_duckdbs_own_lock_is_dropped_by_reading_the_file(paths: DatabaseFiles, store: Store) -> None:
    """Why there is a lock of ours: DuckDB lets a second writer in, as soon as the owner has looked at its own file."""
    apply_records(store, record_of(a_view(), 0, 0))
    script = "import duckdb, sys\ntry: duckdb.connect(sys.argv[1]).execute('FROM log.activity'); print('in')\n"
    script += "except duckdb.IOException: print('out')\nexcept duckdb.CatalogException: print('in')"
    before = run_python(script, paths.database)
    read_database(paths)
    assert (before, run_python(script, paths.database)) == ("out\n", "in\n")


def test_the_lock_is_held_while_the_store_is_opened_again(paths: DatabaseFiles, store: Store) -> None:
    store.reopen()
    assert run_python(TRY, paths.database.parent, "own") == f"{os.getpid()}\n"


@pytest.mark.parametrize("how", ["killed", "closed"])
def test_the_lock_is_free_when_its_owner_is_gone(paths: DatabaseFiles, how: str) -> None:
    with running_python(OWN, paths.database.parent) as owner:
        if how == "killed":
            owner.kill()
        owner.communicate()
    with Store(paths) as store:
        assert store.positions() == {}


def test_the_lock_file_holds_the_owners_process_id_while_it_is_owned(paths: DatabaseFiles) -> None:
    with Store(paths):
        assert paths.lock.read_text() == f"{os.getpid()}\n"
    assert paths.lock.read_text() == ""


def test_what_a_killed_owner_left_in_the_lock_file_is_overwritten(paths: DatabaseFiles) -> None:
    paths.lock.write_text("123456789\n")
    with Store(paths):
        assert run_python(TRY, paths.database.parent, "own") == f"{os.getpid()}\n"


def test_an_owner_that_has_not_written_its_process_id_yet_keeps_others_out(paths: DatabaseFiles) -> None:
    with paths.lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(DatabaseInUse, match="a process that is starting or ending"):
            Store(paths)


def test_a_child_that_a_killed_owner_was_starting_keeps_nobody_out(paths: DatabaseFiles) -> None:
    """It has the owner's lock until it is a program of its own."""
    with paths.lock.open("w") as child:
        child.write("4194305\n")  # more than any process ID
        child.flush()
        fcntl.flock(child, fcntl.LOCK_EX)
        threading.Timer(0.3, fcntl.flock, (child, fcntl.LOCK_UN)).start()
        with paths.owned():
            assert paths.lock.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("way", ["own", "read"])
def test_whoever_comes_after_the_lock_file_was_removed_is_told_who_owns_the_database(
    paths: DatabaseFiles, way: str
) -> None:
    """And sweeps nothing of the owner's: DuckDB's own lock tells."""
    with running_python(OWN, paths.database.parent) as owner:
        paths.lock.unlink()
        paths.erasing.mkdir()
        assert run_python(TRY, paths.database.parent, way) == f"{owner.pid}\n"
        assert paths.erasing.exists()


def test_a_database_that_another_program_reads_is_told_as_such(paths: DatabaseFiles) -> None:
    """It must not be moved aside for that."""
    Store(paths).close()
    reading = "import sys, duckdb\nheld = duckdb.connect(sys.argv[1], read_only=True)\nprint('ready', flush=True)\n"
    with running_python(f"{reading}sys.stdin.read()", paths.database):
        assert run_python(TRY, paths.database.parent, "own") == "None\n"
        assert run_python(TRY, paths.database.parent, "read") == "free\n"


def remove(database: Path) -> None:
    database.unlink()


def replace(database: Path) -> None:
    copy = database.with_name("copy")
    shutil.copyfile(database, copy)
    copy.rename(database)


@pytest.mark.parametrize("lose", [remove, replace])
def test_an_owner_whose_file_is_lost_writes_nothing_more(
    tmp_path: Path, paths: DatabaseFiles, lose: Callable[[Path], None]
) -> None:
    """It makes no new file either, and does not end as if all were well."""
    store = Store(paths)
    lose(paths.database)
    left = sorted(tmp_path.iterdir())
    for use in (lambda: apply_records(store, record_of(a_view(), 0, 0)), store.reopen, store.check):
        with pytest.raises(DatabaseReplaced, match="was removed, or another file put in its place"):
            use()
    assert sorted(tmp_path.iterdir()) == left
    with pytest.raises(DatabaseReplaced), store:
        pass


def test_a_rewritten_file_is_the_one_that_is_open(feed: Feed) -> None:
    """The owner itself has put it there."""
    feed.apply(a_view(), a_deletion())
    Eraser(feed.store).run(patience_seconds=0)
    feed.store.check()
    assert feed.apply(a_view(matter_id="m-2")).views == 1


def test_a_store_that_could_not_be_opened_gives_the_lock_back(paths: DatabaseFiles) -> None:
    paths.database.write_text("no database")
    with pytest.raises(MatterlogError):
        Store(paths)
    paths.database.unlink()
    with Store(paths) as store:
        assert store.positions() == {}


def test_closing_twice_does_nothing(paths: DatabaseFiles) -> None:
    store = Store(paths)
    store.close()
    with Store(paths) as second:
        store.close()
        assert run_python(TRY, paths.database.parent, "own") == f"{os.getpid()}\n"
        assert second.positions() == {}


def test_the_files_are_the_owners_alone(tmp_path: Path) -> None:
    """Under the mask that the service sets; the lock file under any."""
    before = os.umask(0o077)
    try:
        with Store(files_in(tmp_path)) as store:
            Feed(store).apply(a_view())
            assert rows(store, "SELECT count(*) FROM activity") == [(1,)]
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"log.duckdb": 0o600, "log.duckdb.wal": 0o600, "log.duckdb.lock": 0o600}


def test_the_lock_file_is_the_owners_alone_under_any_mask(paths: DatabaseFiles) -> None:
    before = os.umask(0)
    try:
        with paths.owned():
            assert stat.S_IMODE(paths.lock.stat().st_mode) == 0o600
    finally:
        os.umask(before)
