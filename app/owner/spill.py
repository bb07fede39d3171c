"""The folder for what exceeds DuckDB's memory where the log is on a lake, and no database file has one beside it."""

import atexit
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from matterlog.app.errors import WrongUse
from matterlog.schemas.storage.scratch_folders import scratch_folder


@cache
def spill_folder() -> Path:
    """Make this process's own folder, in the folder for temporary files (``TMPDIR``), and return it.

    It goes with the process. What a killed one left is swept, because it holds personal data.

    Raises:
        WrongUse: the folder cannot be made.
    """
    held = ExitStack()
    try:
        folder = held.enter_context(scratch_folder(Path(tempfile.gettempdir())))
    except OSError as error:
        raise WrongUse(f"no folder for temporary files can be made ({error.strerror}): set TMPDIR") from error
    atexit.register(held.close)
    return folder
