"""The entry point of the ``matterlog`` command: exit codes, log lines and signals for every command.

Results go to standard output, everything else to standard error. Exit code 0: success. 1: the command failed. 2: the
command was used wrongly.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

_FAILED = 1
_WRONG_USE = 2
# Which extra has a package; all others are of `service`.
_EXTRAS = {"psycopg": "lake", "fastapi": "site", "uvicorn": "site"}
# What a supervisor runs: to be told to stop is how these end well.
_SERVICES = {"serve", "consume", "broker"}
# How the process ends, once a signal has said so.
_signal_codes: Final = list[int]()


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        _run()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "matterlog":
            raise
        _end(f"this command needs: pip install 'matterlog[{_EXTRAS.get(missing, 'service')}]' ({error})", _FAILED)
    except SystemExit as leaving:
        _end_despite_daemons(leaving.code)
        raise
    sys.exit(0)


def _end_despite_daemons(code: object) -> None:
    """End the process at once if daemon threads are still running.

    Python would stop such a thread inside DuckDB's code, which aborts the process. Everything is closed by now.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others and all(thread.daemon for thread in others) and isinstance(code, int | None):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def _run() -> None:
    # First of all: the imports take a second on a busy machine, and the first process of a container ignores a signal
    # for which it has no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_on_signal)
    from matterlog.app.terminal.memory_shortage import memory_shortage  # noqa: PLC0415 - as above

    _name_a_home()
    try:
        _run_command()
    except Exception as error:  # whatever a library made of a signal
        if _signal_codes:
            # As the import of duckdb, which makes an ImportError of what the handler raised.
            sys.exit(_signal_codes[0])
        if not isinstance(error, MemoryError | ImportError | RuntimeError):
            raise
        if (shortage := memory_shortage(error)) is None:
            raise
        _end(shortage, _FAILED)


def _run_command() -> None:
    from matterlog.app.commands import run  # noqa: PLC0415 - as above
    from matterlog.app.errors import WrongUse  # noqa: PLC0415 - as above
    from matterlog.app.terminal.log_lines import log_to_standard_error  # noqa: PLC0415 - as above
    from matterlog.app.terminal.memory_shortage import with_shortage  # noqa: PLC0415 - as above
    from matterlog.report.errors import InvalidFilter  # noqa: PLC0415 - without the extra, a sentence, not a trace
    from matterlog.schemas import MatterlogError  # noqa: PLC0415 - as above

    log_to_standard_error()
    try:
        run()
    except (WrongUse, InvalidFilter) as error:
        _end(str(error), _WRONG_USE)
    except MatterlogError as error:
        _end(with_shortage(error), _FAILED)
    except BrokenPipeError:
        # The reader of standard output is gone: the interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_FAILED)


def _name_a_home() -> None:
    """Name a home folder where there is none, as for most users of a container: the chart library asks for one."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/nonexistent"


def _exit_on_signal(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through every ``finally``: nothing half-written stays."""
    _signal_codes.append(0 if sys.argv[1:2] and sys.argv[1] in _SERVICES else 128 + number)
    sys.exit(_signal_codes[0])


def _end(message: str, code: int) -> NoReturn:
    print(f"matterlog: {message}", file=sys.stderr)  # noqa: T201 - the command's error message
    sys.exit(code)
