"""Killed at any step of a backup or a restore, the log is there, old or new, and the work can be done again."""

import signal
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery.backups import find_backup, list_backups, take_backup
from matterlog.consumers.recovery.recovery import put_together
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import run_script
from testbed.events import a_view
from testbed.feed import Feed, stored_ids

pytestmark = pytest.mark.faults

# Dies like a process that is killed, in the place of the nth change of a name.
KILLED: Final = """
import os, signal, sys
from pathlib import Path
from matterlog.consumers.recovery.recovery import put_together
from matterlog.consumers.recovery.backups import find_backup, take_backup
from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseFiles

paths, left = DatabaseFiles(Path(sys.argv[1])), [int(sys.argv[3])]

def dying(change):
    def changed(*arguments):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*arguments)
    return changed

Path.rename, Path.replace, os.link = dying(Path.rename), dying(Path.replace), dying(os.link)
if sys.argv[2] == "backup":
    with Store(paths) as store:
        take_backup(store, kept=1)
else:
    with paths.owned():
        put_together(paths, find_backup(paths, None))
"""


def killed(paths: DatabaseFiles, work: str, change: int) -> bool:
    """Do the work in a process that is killed at a change of a name; whether it got so far."""
    ended = run_script(KILLED, paths.database, work, change)
    assert ended.code in {0, -signal.SIGKILL}, ended.err
    return ended.code != 0


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """A log of one view with a backup, and of two by now."""
    files = DatabaseFiles(tmp_path / "log.duckdb")
    with Store(files) as store:
        feed = Feed(store)
        feed.apply(a_view())
        take_backup(store, kept=1)
        feed.apply(a_view())
    return files


def test_a_restore_that_is_killed_leaves_the_old_log_or_the_new_one(paths: DatabaseFiles) -> None:
    """Each run dies one step later, until one is done."""
    change, states = 1, []
    while killed(paths, "restore", change):
        with Store(paths) as store:
            states.append((store.recovering, len(stored_ids(store))))
        change += 1
    with Store(paths) as store:
        assert (store.recovering, len(stored_ids(store))) == (True, 1)
    assert change > 2
    assert set(states) <= {(False, 2), (True, 1)}
    with paths.owned():
        put_together(paths, find_backup(paths, None))


def test_a_backup_that_is_killed_leaves_whole_ones_alone(paths: DatabaseFiles) -> None:
    change = 1
    while killed(paths, "backup", change):
        assert len(list_backups(paths)) == 1
        find_backup(paths, None)
        change += 1
    assert change > 2
    [last] = list_backups(paths)
    assert sorted(paths.backups.iterdir()) == sorted([last.path, last.path.with_suffix(".json")])
