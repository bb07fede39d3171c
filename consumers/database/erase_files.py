"""Files that held personal data: overwritten, then unlinked.

What overwriting cannot reach is said in docs/erasure.md: cells of an SSD, snapshots of a file system or a machine.
"""

import os
import shutil
from pathlib import Path
from typing import Final

_CHUNK: Final = bytes(1024 * 1024)


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
    """Shred every file in a folder and remove it; a folder that is not there is swept."""
    if not folder.exists():
        return
    for file in folder.rglob("*"):
        if file.is_symlink() or file.is_file():
            shred(file)
    shutil.rmtree(folder)
