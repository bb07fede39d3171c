"""Files and folders that survive a power cut."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Write a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
