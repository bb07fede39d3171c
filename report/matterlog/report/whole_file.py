"""A file that is whole or not there: written beside, synced, renamed."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import ExtractFailed


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file that gets its final name only when the block ends without an error; otherwise nothing stays.

    Raises:
        ExtractFailed: the folder cannot be written to, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ExtractFailed(f"{path} cannot be written ({error.strerror}): nothing was left there") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
