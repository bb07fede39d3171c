"""The folder for what exceeds DuckDB's memory where the log is on a lake, and no database file has one beside it."""

import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from matterlog.app.errors import WrongUse


@cache
def spill_folder() -> Path:
    """Make this process's own folder, below the folder for temporary files (``TMPDIR``), and return it.

    What processes of this user left that were killed is swept: it holds personal data.

    Raises:
        WrongUse: the folder cannot be made.
    """
    ours = Path(tempfile.gettempdir()) / f"matterlog-spill-{os.getuid()}"
    mine = ours / str(os.getpid())
    try:
        ours.mkdir(mode=0o700, exist_ok=True)
        if ours.is_symlink() or ours.stat().st_uid != os.getuid():
            raise WrongUse(f"{ours} belongs to somebody else: remove it, or set TMPDIR to another folder")
        for left in ours.iterdir():
            if left.name.isdecimal() and not Path(f"/proc/{left.name}").exists():
                shutil.rmtree(left, ignore_errors=True)
        with suppress(FileExistsError):
            mine.mkdir(mode=0o700)
    except OSError as error:
        raise WrongUse(
            f"the folder for temporary files {mine} cannot be made ({error.strerror}): set TMPDIR"
        ) from error
    return mine
