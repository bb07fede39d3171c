"""Kill the owner at every step of a rewrite of its file: the old file or the new one is there, and nothing is lost."""

import random
import secrets
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser, removals
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.budget import budget
from testbed.erasing import Step
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, files_in, rows
from tests.consumers.erasure.test_erase import ERASED, NEEDLE, content, files_that_hold
from tests.consumers.processes import running_python

pytestmark = [pytest.mark.faults]

MOMENTS: Final = budget(5, 60)
# Rewrites a database again and again; killed by itself at the step that it is given, else by the test.
REWRITE: Final = """
import os, signal, sys
from pathlib import Path
from matterlog.consumers.database.store import Store
from testbed.erasing import WatchedEraser
from testbed.feed import files_in

def reached(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

with Store(files_in(Path(sys.argv[1]))) as store:
    print("ready", flush=True)
    while True:
        WatchedEraser(store, reached=reached).run(patience_seconds=0)
"""


def a_log_with_a_purge(paths: DatabaseFiles) -> list[object]:
    """A closed database from which a matter was removed; returns what it holds."""
    with Store(paths) as store:
        feed = Feed(store)
        feed.apply(*(a_view(matter_id=f"m-{number % 50}", matter_name="") for number in range(3000)), a_view())
        feed.apply(a_deletion(), feed.poison())
        return content(store)


def check_and_finish(paths: DatabaseFiles, before: list[object]) -> None:
    """The next owner holds all that was there, and takes the work up."""
    with Store(paths) as store:
        assert not paths.erasing.exists()
        assert content(store) == before
        if removals(store).waiting:
            assert rows(store, ERASED) == []
            Eraser(store).run(patience_seconds=0)
        assert content(store) == before
        assert rows(store, ERASED) == [("m-42",)]
    assert files_that_hold(paths.database.parent, NEEDLE) == []
    assert not paths.quarantined


@pytest.mark.parametrize("step", list(Step))
def test_a_kill_behind_each_step_loses_nothing(tmp_path: Path, step: Step) -> None:
    paths = files_in(tmp_path)
    before = a_log_with_a_purge(paths)
    with running_python(REWRITE, tmp_path, step) as process:
        assert process.wait(60) == -signal.SIGKILL
    check_and_finish(paths, before)


def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """Also while a step runs in a process of its own, which must not go on in the folder of the next owner."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    paths = files_in(tmp_path)
    before = a_log_with_a_purge(paths)
    for _ in range(MOMENTS):
        with running_python(REWRITE, tmp_path, "never") as process:
            time.sleep(dice.uniform(0.0, 2.0))
            process.kill()
            process.wait()
        with Store(paths) as store:
            assert content(store) == before
    check_and_finish(paths, before)
