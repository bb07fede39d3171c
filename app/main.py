"""The ``matterlog`` command: where exit codes, log lines and signals are settled for every command.

Results go to standard output, everything else to standard error. Exit code 0: done; 1: it could not be done; 2: what
was asked for makes no sense.
"""

import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from matterlog.app.terminal.log_lines import log_to_standard_error
from matterlog.app.terminal.memory_shortage import memory_shortage, with_shortage

_FAILED = 1
_WRONG_USE = 2
_TERMINATED = 128 + signal.SIGTERM


def main() -> NoReturn:
    """Run the command line and end the process with an honest exit code."""
    try:
        _run()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "matterlog":
            raise
        _end(f"the matterlog command needs: pip install 'matterlog[service]' ({error})", _FAILED)
    except SystemExit as leaving:
        _leave_threads(leaving.code)
        raise
    sys.exit(0)


def _leave_threads(code: object) -> None:
    """End the process at once where daemons are still at work.

    Python stops such a thread in the middle of DuckDB's code, which aborts the process; everything is closed by now.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others and all(thread.daemon for thread in others) and isinstance(code, int | None):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def _run() -> None:
    try:
        _run_command()
    except (MemoryError, ImportError, RuntimeError) as error:
        if (shortage := memory_shortage(error)) is None:
            raise
        _end(shortage, _FAILED)


def _run_command() -> None:
    from matterlog.app.commands import run  # noqa: PLC0415 - as above
    from matterlog.app.errors import WrongUse  # noqa: PLC0415 - as above
    from matterlog.report.errors import InvalidFilter  # noqa: PLC0415 - without the extra, a sentence, not a trace
    from matterlog.schemas import MatterlogError  # noqa: PLC0415 - as above

    log_to_standard_error()
    signal.signal(signal.SIGTERM, _leave)
    try:
        run()
    except (WrongUse, InvalidFilter) as error:
        _end(str(error), _WRONG_USE)
    except MatterlogError as error:
        _end(with_shortage(error), _FAILED)
    except BrokenPipeError:
        # Whoever read standard output went away; the interpreter must not try to flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_FAILED)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through every ``finally``: nothing half-written stays."""
    sys.exit(_TERMINATED)


def _end(message: str, code: int) -> NoReturn:
    print(f"matterlog: {message}", file=sys.stderr)  # noqa: T201 - the command's last word
    sys.exit(code)
