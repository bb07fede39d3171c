"""Files that are complete or absent: written under a temporary name, synced, then renamed."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from matterlog.report.errors import ExtractFailed
from matterlog.schemas.storage.durable import sync

# A name has at most 255 bytes. This many characters of it leave room for the ending, in any script.
_NAME_CHARACTERS: Final = 40
_MODE: Final = 0o600
_ENDING: Final = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that gets its final name when the block ends without an error; otherwise it is removed.

    Raises:
        ExtractFailed: the path is a folder or a device, the folder cannot be written to, or the disk is full.
    """
    with whole_files(path) as (file,):
        yield file


@contextmanager
def whole_files(*paths: Path) -> Iterator[tuple[BinaryIO, ...]]:
    """Yield files that get their final names, in this order, when the block ends without an error.

    Only this user can read them, whatever the umask and whatever stood in their place: they hold personal data.
    All files are on the disk before the first one is renamed. A crash between two renames leaves the first files new
    and the others old or missing, so the file that vouches for the others must be the last one.

    Raises:
        ExtractFailed: as for ``whole_file``.
    """
    for path in paths:
        if path.exists() and not path.is_file():
            raise ExtractFailed(f"{path} exists and is not a file: choose another name")
    for path in paths:
        _sweep(path)
    partials = [path.with_name(f"{_begin(path)}{secrets.token_hex(4)}{_ENDING}") for path in paths]
    pairs = list(zip(partials, paths, strict=True))
    try:
        with ExitStack() as stack:
            files = tuple(stack.enter_context(_private(partial, path)) for partial, path in pairs)
            with _reported(paths[0]):
                yield files
            for file, path in zip(files, paths, strict=True):
                with _reported(path):
                    file.flush()
                    os.fsync(file.fileno())
            for index, (partial, path) in enumerate(pairs):
                with _reported(path, *paths[:index]):
                    partial.replace(path)
                    sync(path.parent)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _begin(path: Path) -> str:
    return f".{path.name[:_NAME_CHARACTERS]}."


def _sweep(path: Path) -> None:
    """Remove what a killed process left of this file. One that is being written is locked."""
    for left in path.parent.iterdir() if path.parent.is_dir() else ():
        if not (left.name.startswith(_begin(path)) and left.name.endswith(_ENDING)):
            continue
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


@contextmanager
def _private(partial: Path, path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that only this user can read."""
    with _reported(path), os.fdopen(_made(partial), "wb") as file:
        yield file


def _made(partial: Path) -> int:
    """Make the file, locked until it is closed: another process that writes the same file leaves it alone."""
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    fcntl.flock(handle, fcntl.LOCK_EX)
    if not os.fstat(handle).st_nlink:  # swept before it was locked
        os.close(handle)
        return _made(partial)
    os.fchmod(handle, _MODE)  # a folder may have an access list that gives more
    return handle


@contextmanager
def _reported(path: Path, *renamed: Path) -> Iterator[None]:
    """Report an error of the operating system with the file's name, and name the files that are already complete."""
    try:
        yield
    except OSError as error:
        left = f"{', '.join(map(str, renamed))} is complete, without this file" if renamed else "no file was left"
        raise ExtractFailed(f"{path} cannot be written ({error.strerror}): {left}") from error
