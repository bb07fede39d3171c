"""Copies of the database file: one task at a time, each step in a separate process, and shredded at the end.

1. A rewrite, a backup and a search each make copies in a folder beside the file. A lock lets one task in.
2. A step on a copy runs in a separate process, which ends when this one does.
3. A file that held personal data is overwritten, then unlinked. docs/erasure.md says what overwriting cannot reach:
   cells of an SSD, snapshots of a file system or a machine.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from matterlog.consumers.errors import BlockDamaged, ErasureFailed

_PYTHON: Final = (sys.executable, "-m")
# The exit code of a step that met a damaged block.
DAMAGED: Final = 4
_POLL_SECONDS: Final = 0.1
_CHUNK: Final = bytes(1024 * 1024)


@contextmanager
def held_at_once(lock: threading.Lock, otherwise: str) -> Iterator[None]:
    """Hold a lock if it is free.

    Raises:
        ErasureFailed: it is not free. ``otherwise`` is the error's text.
    """
    if not lock.acquire(blocking=False):
        raise ErasureFailed(otherwise)
    try:
        yield
    finally:
        lock.release()


def run_step(name: str, *arguments: str, stop: threading.Event) -> int:
    """Run one of ``erase_steps`` in a separate process and return its result.

    Raises:
        ErasureFailed: the step failed, or ``stop`` was set.
        BlockDamaged: the step met a damaged block of the database, or of its copy.
    """
    return int(run_step_of("matterlog.consumers.database.erase_steps", name, *arguments, stop=stop))


def run_step_of(module: str, name: str, *arguments: str, stop: threading.Event, private: Sequence[str] = ()) -> Any:
    """Run a step of a module like ``erase_steps`` and return its result. Raises the errors of ``run_step``.

    Every user of the machine can read a process's arguments. ``private`` ones follow on its standard input.
    """
    command = [*_PYTHON, module, name, *arguments]
    # The process ends when its standard input closes: so it ends with this process, however this one ends.
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb", buffering=0) as given:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, stdin=read_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        finally:
            os.close(read_end)
        with process:
            with suppress(BrokenPipeError):  # it has ended already, and its outcome says why
                given.write(json.dumps(private).encode() + b"\n")
            output, errors = _outcome(process, stop)
    if stop.is_set():
        raise ErasureFailed("the rewrite of the database file was interrupted. It begins again at the next start")
    if process.returncode == DAMAGED:
        raise BlockDamaged(f"a copy of the database has a damaged block (step {name})")
    if process.returncode:
        raise ErasureFailed(f"step {name} of the rewrite failed ({process.returncode}): {errors.strip() or 'killed'}")
    return json.loads(output)


def _outcome(process: "subprocess.Popen[str]", stop: threading.Event) -> tuple[str, str]:
    while True:
        try:
            return process.communicate(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                process.kill()


def shred(file: Path) -> None:
    """Overwrite a file with zeros on the disk, and unlink it.

    A file that has another name too is only unlinked: it is still in use under that name.
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
