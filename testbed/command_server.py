"""Runs the ``matterlog`` command in a process of its own that need not import everything again.

``python -m testbed.command_server FD`` imports all commands once, and forks for each call that comes over the socket.
The child is a process like any other: it has its own standard streams, folder, environment and signals, and it ends as
``matterlog`` ends. What Python reads only when it starts (its own variables, the locale) is not the call's.

A call is one message: its arguments, folder and environment as JSON, with the three standard streams as open files. The
answer is the process ID, then the exit code.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import duckdb
import typer

from matterlog.app.commands import app
from matterlog.app.main import main

_MAX_CALL_BYTES: Final = 1024 * 1024
_ROOT: Final = Path(__file__).parents[1]


class CommandServer:
    """The server, started when it is first called, and gone with this process."""

    def __init__(self) -> None:
        self._calls: socket.socket | None = None
        self._starting = threading.Lock()

    def run(
        self,
        arguments: Sequence[str],
        streams: tuple[BinaryIO, BinaryIO, BinaryIO],
        cwd: Path,
        environment: Mapping[str, str],
        seconds: float,
    ) -> int:
        """Run a command to its end and return its exit code, as ``subprocess`` has it.

        Raises:
            TimeoutError: it did not end within so many seconds, and was killed.
        """
        with self._starting:
            calls = self._calls = self._calls or _start()
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with answers, theirs:
            call = json.dumps({"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}).encode()
            files = [theirs.fileno(), *(stream.fileno() for stream in streams)]
            assert len(call) <= _MAX_CALL_BYTES
            socket.send_fds(calls, [call], files)
            theirs.close()
            answers.settimeout(seconds)
            process_id = int(answers.recv(16))
            try:
                return int(answers.recv(16))
            except TimeoutError:
                os.kill(process_id, signal.SIGKILL)
                raise


def _start() -> socket.socket:
    """Start the server; return what calls go through."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        for side in (ours, theirs):
            for direction in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                side.setsockopt(socket.SOL_SOCKET, direction, 2 * _MAX_CALL_BYTES)
        command = [sys.executable, "-m", "testbed.command_server", str(theirs.fileno())]
        server = subprocess.Popen(command, cwd=_ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    atexit.register(_stop, ours, server)
    return ours


def _stop(calls: socket.socket, server: "subprocess.Popen[bytes]") -> None:
    calls.close()
    server.wait()


def _serve(calls: socket.socket) -> None:
    """Fork for each call, until nobody can call any more."""
    _import_all()
    gc.freeze()  # so that a child does not copy what it only looks at
    while True:
        call, files, _, _ = socket.recv_fds(calls, _MAX_CALL_BYTES, 4)
        if not call:
            return
        if not os.fork():
            calls.close()
            _answer(json.loads(call), files)
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _import_all() -> None:
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    for name in group.list_commands(context):
        group.get_command(context, name)
    # DuckDB's default database has a thread, which a child would wait for in vain.
    duckdb.execute("SET threads = 1")


def _answer(call: dict[str, Any], files: list[int]) -> NoReturn:
    """Run a command in a child, wait for it and send its exit code."""
    answer, *streams = files
    child = os.fork()
    if not child:
        os.close(answer)
        _be_matterlog(call, streams)
    os.write(answer, b"%d" % child)
    _, status = os.waitpid(child, 0)
    with suppress(BrokenPipeError):  # whoever called has lost patience
        os.write(answer, b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _be_matterlog(call: dict[str, Any], streams: list[int]) -> NoReturn:
    """Become what the kernel and Python make of a new process, then run the command."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environment"])
    time.tzset()
    sys.argv = ["matterlog", *call["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in enumerate("rww"))  # noqa: SIM115, PTH123
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
