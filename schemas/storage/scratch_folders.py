"""Private folders for what is written for a moment: removed at the end, or by the next one there after a crash."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = ".matterlog-"
# Between making a folder and locking it another process must not take it for left over.
_NEW_SECONDS: Final = 60.0


def writable_folder(wanted: Path) -> Path:
    """Return a folder, made where it is missing; that of temporary files if this user may not write there."""
    with suppress(OSError):
        wanted.mkdir(mode=0o700, exist_ok=True)
    return wanted if os.access(wanted, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


@contextmanager
def scratch_folder(wanted: Path) -> Iterator[Path]:
    """Yield a private folder in ``writable_folder(wanted)``. It is locked for as long as its process uses it.

    Raises:
        OSError: it cannot be made.
    """
    parent = writable_folder(wanted)
    _sweep(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as folder:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(handle)


def _sweep(parent: Path) -> None:
    """Remove what a killed process left."""
    for left in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.lstat().st_mtime < _NEW_SECONDS:
                continue
            handle = os.open(left, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)
