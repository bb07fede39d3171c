"""Files that are whole or not there: written beside their place, synced, renamed."""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from matterlog.report.errors import ExtractFailed
from matterlog.schemas.storage.durable import sync

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
            files = tuple(stack.enter_context(_private(partial, path)) for partial, path in _pairs(partials, paths))
            with _told_of(paths[0]):
                yield files
        for index, (partial, path) in enumerate(_pairs(partials, paths)):
            with _told_of(path, *paths[:index]):
                partial.replace(path)
                sync(path.parent)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _pairs(partials: Iterable[Path], paths: Iterable[Path]) -> Iterable[tuple[Path, Path]]:
    return zip(partials, paths, strict=True)


@contextmanager
def _private(partial: Path, path: Path) -> Iterator[BinaryIO]:
    """Give a file that is this user's alone; when the block ends, it is on the disk with the mode of any new file."""
    with _told_of(path), partial.open("xb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        os.fchmod(file.fileno(), 0o600)
        yield file
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _told_of(path: Path, *there: Path) -> Iterator[None]:
    """Tell an error of the operating system as that of a file, and which files have their names already."""
    try:
        yield
    except OSError as error:
        left = f"{', '.join(map(str, there))} is there, whole, without it" if there else "nothing was left there"
        raise ExtractFailed(f"{path} cannot be written ({error.strerror}): {left}") from error
