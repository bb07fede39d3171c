"""Running a step of ``erase_steps``, or a module like it, in a process of its own, which ends when this one does."""

import json
import os
import subprocess
import sys
import threading
from typing import Any, Final

from matterlog.consumers.errors import ErasureFailed

_PYTHON: Final = (sys.executable, "-m")
_LOOK_SECONDS: Final = 0.1


def run_step(name: str, *arguments: str, stop: threading.Event) -> int:
    """Run one of ``erase_steps`` in a process of its own and return its result.

    Raises:
        ErasureFailed: it failed, or ``stop`` was set.
    """
    return int(run_step_of("matterlog.consumers.database.erase_steps", name, *arguments, stop=stop))


def run_step_of(module: str, name: str, *arguments: str, stop: threading.Event) -> Any:
    """Run a step of a module like ``erase_steps`` and return its result; raises as ``run_step`` does."""
    command = [*_PYTHON, module, name, *arguments]
    # The process ends when its standard input does: with this one, whatever ends this one.
    standard_input, held = os.pipe()
    try:
        with subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=standard_input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            output, errors = _outcome(process, stop)
    finally:
        os.close(standard_input)
        os.close(held)
    if stop.is_set():
        raise ErasureFailed("the rewrite of the database file was broken off; it begins again at the next start")
    if process.returncode:
        raise ErasureFailed(f"step {name} of the rewrite failed ({process.returncode}): {errors.strip() or 'killed'}")
    return json.loads(output)


def _outcome(process: "subprocess.Popen[str]", stop: threading.Event) -> tuple[str, str]:
    while True:
        try:
            return process.communicate(timeout=_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                process.kill()
