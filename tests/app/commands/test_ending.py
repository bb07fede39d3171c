"""How the process ends."""

import subprocess
import sys

import pytest

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
