"""Other processes, for what one process cannot show: locks, kills, limits, another time zone."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from testbed.command import environment, popen, run_script

READY: Final = "ready"


def run_python(script: str, *arguments: object, **variables: str) -> str:
    """Run a script that can import ours and the tests, in this environment and ``variables``; return what it prints.

    Its process is a child of the command server: what it takes of memory is not what a new one would.
    """
    ended = run_script(script, *arguments, settings=variables)
    assert ended.code == 0, ended.err
    return ended.text


@contextmanager
def running_python(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Give a process that has printed its first line, ``ready``; it is killed where it still runs at the end."""
    with popen(
        ["-c", script, *arguments], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{READY}\n"
            yield process
        finally:
            process.kill()
