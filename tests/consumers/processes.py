"""Other processes, for what one process cannot show: locks, kills, limits, another time zone."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

from testbed.command import environment, popen, run_script

READY: Final = "ready"
# What ``python -m`` does with the module of a step, but for the imports.
_STEP: Final = """
import importlib, os, sys
from matterlog.consumers.database.erase_steps import run_as_step
_, mask, module, *step = sys.argv
os.umask(int(mask))
run_as_step(importlib.import_module(module).STEPS, *step)
"""


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


def forked_steps() -> SimpleNamespace:
    """What ``copies`` takes from ``subprocess``, with processes that the command server forks."""

    def started(command: list[str], **options: Any) -> "subprocess.Popen[str]":
        if command[1] != "-m":
            return subprocess.Popen(command, **options)  # what a test put in the place of a step
        os.umask(mask := os.umask(0o077))  # a child of this process would have the same
        return popen(["-c", _STEP, mask, *command[2:]], env=dict(os.environ), **options)

    return SimpleNamespace(Popen=started, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
