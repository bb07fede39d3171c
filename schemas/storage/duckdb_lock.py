"""DuckDB's own lock on a database file: who holds it, asked without taking it.

It is the second line behind our lock file, for where that was removed or somebody opened the database with another
program. Closing the file drops this process's locks on it, so nobody asks who has the database open himself.
"""

import fcntl
import os
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple

# Linux's struct flock: type, whence, start, length, process; padded to its alignment.
_FLOCK: Final = struct.Struct("hhqqi0q")


class LockHolder(NamedTuple):
    """A process, 0 for one that this one cannot see, as in another container; and whether it may write."""

    process_id: int
    writes: bool


def find_lock_holder(database: Path, *, to_write: bool) -> LockHolder | None:
    """Return who keeps this process from opening a database; None for nobody, and where the system does not tell.

    Args:
        database: the file, which this process does not have open.
        to_write: whether it is to be written; who only reads is in the way then, too.

    Raises:
        OSError: the file cannot be opened for reading.
    """
    if sys.platform != "linux" or not database.is_file():
        return None
    asked = fcntl.F_WRLCK if to_write else fcntl.F_RDLCK
    handle = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    try:
        told = fcntl.fcntl(handle, fcntl.F_GETLK, _FLOCK.pack(asked, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(handle)
    kind, _, _, _, process_id = _FLOCK.unpack(told)
    return None if kind == fcntl.F_UNLCK else LockHolder(process_id, kind == fcntl.F_WRLCK)
