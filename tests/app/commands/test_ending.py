"""How the process ends."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.command import consuming, end_of
from testbed.served import serving

_PROGRAM = """
import atexit, sys, threading
from matterlog.app import main
atexit.register(print, "torn down")
threading.Thread(target=threading.Event().wait, daemon=True, name="at work").start() if {at_work} else None
main._run = lambda: sys.exit({code})
main.main()
"""


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("at_work", [True, False])
def test_a_daemon_at_work_is_left_and_the_exit_code_stays(*, at_work: bool, code: int) -> None:
    """Python would stop it in the middle of DuckDB's code, which aborts the process."""
    program = _PROGRAM.format(at_work=at_work, code=code)
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, "" if at_work else "torn down\n", "")


def _lose(database: Path, how: str) -> None:
    if how == "replaced":
        shutil.copyfile(database, database.with_name("copy"))
        database.with_name("copy").rename(database)
    else:
        database.unlink()


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_consumer_whose_database_is_lost_ends_loudly(kafka_here: dict[str, str], tmp_path: Path, how: str) -> None:
    """Also while no message comes."""
    database = tmp_path / "log.duckdb"
    with consuming(database, settings=kafka_here) as process:
        _lose(database, how)
        ended = end_of(process)
    assert ended.code == 1
    assert f"{database} was removed, or another file put in its place" in ended.err


def test_a_service_whose_database_is_lost_ends_loudly(tmp_path: Path) -> None:
    """The site would show what is nowhere any more."""
    database = tmp_path / "log.duckdb"
    with serving(database, "--no-consumer") as served:
        served.wait_until(200)
        database.unlink()
        assert served.process.wait(60) == 1
        assert f"{database} was removed, or another file put in its place" in "".join(served.log)
