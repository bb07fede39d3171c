"""Files for one user alone, in folders where others may be able to put things.

A symbolic link or a file that somebody else put there would lead what is written to a place of their choice. So, in a
folder that others can write, no link is followed; in any other, links are the operator's.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_GROUP_OR_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def others_can_write(folder: Path) -> bool:
    """Return whether another user than this one and root can put files into a folder; False where there is none."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return False
    return bool(found.st_mode & _GROUP_OR_OTHERS_WRITE) or found.st_uid not in {0, os.geteuid()}


def is_foreign_link(path: Path) -> bool:
    """Return whether a path is a symbolic link in a folder that others can write."""
    return path.is_symlink() and others_can_write(path.parent)


def make_private_file(path: Path) -> None:
    """Make an empty file that its user alone may use, where there is none.

    One that is there is looked at and never opened: closing it would drop the locks that SQLite has on it.

    Raises:
        PermissionError: it is a link that somebody else may have put there, or every user may use it.
        OSError: it cannot be made.
    """
    if is_foreign_link(path):
        raise PermissionError("it is a symbolic link in a folder that others can write: remove it")
    real = os.path.realpath(path)
    with suppress(FileExistsError):
        os.close(os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IRWXO:
        raise PermissionError(f"every user may use it (mode {mode:04o}): chmod 600, and look who changed it")
