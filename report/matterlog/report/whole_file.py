"""Files that are whole or not there: written beside their place, synced, renamed."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    with whole_files(path) as (file,):
        yield file


@contextmanager
def whole_files(*paths: Path) -> Iterator[tuple[BinaryIO, ...]]:
    """Give files that get their final names, in this order, only when the block ends without an error.

    Until then they are this user's alone; then they get the mode that this user's files have.

    All of them are on the disk before the first one is renamed. A crash between two renames leaves the first ones new
    and the others as they were, or missing: put last what says that the others are there.

    Raises:
        ExtractFailed: as for ``whole_file``.
    """
    for path in paths:
        if path.exists() and not path.is_file():
            raise ExtractFailed(f"{path} is there already and is no file: name a file; nothing was written")
    partials = [path.with_name(f".{path.name[:_NAME_CHARACTERS]}.{secrets.token_hex(4)}.partial") for path in paths]
    try:
        with ExitStack() as stack:
            files = tuple(stack.enter_context(partial.open("xb")) for partial in partials)
            modes = [stat.S_IMODE(os.fstat(file.fileno()).st_mode) for file in files]
            for file in files:
                os.fchmod(file.fileno(), 0o600)
            yield files
            for file, mode in zip(files, modes, strict=True):
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
        for partial, path in zip(partials, paths, strict=True):
            partial.replace(path)
            _sync_folder(path.parent)
    except OSError as error:
        raise ExtractFailed(f"{paths[0]} cannot be written ({error.strerror}): nothing was left there") from error
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
