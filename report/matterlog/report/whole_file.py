"""A file that is whole or not there: written beside, synced, renamed."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from .errors import ExtractFailed

# As much of the name as leaves room in the 255 bytes that a name may have, in any script.
_NAME_CHARACTERS: Final = 40


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file that gets its final name only when the block ends without an error; otherwise nothing stays.

    Raises:
        ExtractFailed: the path is a folder or a device, the folder cannot be written to, or the disk is full.
    """
    if path.exists() and not path.is_file():
        raise ExtractFailed(f"{path} is there already and is no file: name a file; nothing was written")
    partial = path.with_name(f".{path.name[:_NAME_CHARACTERS]}.{secrets.token_hex(4)}.partial")
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
