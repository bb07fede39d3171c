"""Copies of the database file: worked on by one at a time, in processes of their own, and shredded in the end.

1. A rewrite, a backup and a search each make copies in a folder beside the file; ``CopyTurn`` says whose turn it is.
2. A step on a copy runs in a process of its own, which ends when this one does.
3. A file that held personal data is overwritten, then unlinked. What overwriting cannot reach is said in
   docs/erasure.md: cells of an SSD, snapshots of a file system or a machine.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from matterlog.consumers.errors import ErasureFailed

_PYTHON: Final = (sys.executable, "-m")
_LOOK_SECONDS: Final = 0.1
_CHUNK: Final = bytes(1024 * 1024)


class CopyTurn:
    """Whose turn it is to make copies of the database file: two at once would use one folder."""

    def __init__(self) -> None:
        self._taken = threading.Lock()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Take the turn, once it is free."""
        with self._taken:
            yield

    @contextmanager
    def at_once(self, otherwise: str) -> Iterator[None]:
        """Take the turn if it is free.

        Raises:
            ErasureFailed: it is not; the error says ``otherwise``.
        """
        if not self._taken.acquire(blocking=False):
            raise ErasureFailed(otherwise)
        try:
            yield
        finally:
            self._taken.release()


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


def shred(file: Path) -> None:
    """Overwrite a file with zeros, to the disk, and unlink it.

    A file with another name besides is only unlinked: under that name it is still in use.
    """
    status = file.lstat()
    if status.st_nlink == 1 and not file.is_symlink():
        with file.open("r+b", buffering=0) as handle:
            for _ in range(0, status.st_size, len(_CHUNK)):
                handle.write(_CHUNK)
            os.fsync(handle)
    file.unlink()


def sweep(folder: Path) -> None:
    """Shred every file in a folder and remove it; a folder that is not there is swept, and so is a link to one."""
    if folder.is_symlink():
        folder.unlink()  # what it leads to is none of ours
    if not folder.exists():
        return
    for file in folder.rglob("*"):
        if file.is_symlink() or file.is_file():
            shred(file)
    shutil.rmtree(folder)
