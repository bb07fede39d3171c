"""Files and folders that outlive a power cut."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have the disk keep what a file holds, or which names stand in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
