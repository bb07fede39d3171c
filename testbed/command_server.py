"""A server that runs ``matterlog``, or a script, in a separate process, without importing everything again.

``python -m testbed.command_server FD`` imports all commands once and forks for each call on its socket. The child is an
ordinary process: it has its own standard streams, folder, environment and signals, and exits as ``matterlog`` does.
Only what Python reads at its start (its own variables, the locale) comes from the server.

A call is one message: arguments, folder and environment as JSON, with the three standard streams as open files. A
script is given as to Python: ``-c``, its text, its arguments. The answer is the process ID, then the exit code.
"""

import atexit
import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import duckdb
import typer

# Those of a lake are imported by a command that uses one.
import matterlog.consumers.lake.lake_erasure
import matterlog.consumers.lake.lake_store
import matterlog.consumers.lake.verify_lake
import matterlog.report.handover.lake_register  # noqa: F401
from matterlog.app.commands import app
from matterlog.app.main import main
from matterlog.report.log import giving_way
from testbed.lake_extensions import trust_extensions
from testbed.no_pandas import do_without_pandas

do_without_pandas()
# Readers have the usual priority, as in tests/conftest.py.
giving_way.NICENESS = 0  # type: ignore[misc]

_MAX_CALL_BYTES: Final = 1024 * 1024
_PAUSE_SECONDS: Final = 0.001
_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_ROOT: Final = Path(__file__).parents[1]


class CommandServer:
    """A client that starts the server at the first call. The server ends with this process."""

    def __init__(self) -> None:
        self._calls: socket.socket | None = None
        self._starting = threading.Lock()

    def start(self, arguments: Sequence[str], streams: Sequence[int], cwd: Path, environment: Mapping[str, str]) -> int:
        """Start a command as a child of this process and return its process ID."""
        with self._call(arguments, streams, cwd, environment, waits=False) as answers:
            return int(answers.recv(16))

    def run(
        self,
        arguments: Sequence[str],
        streams: tuple[BinaryIO, BinaryIO, BinaryIO],
        cwd: Path,
        environment: Mapping[str, str],
        seconds: float,
    ) -> int:
        """Run a command to its end and return its exit code in the form of ``subprocess``.

        Raises:
            TimeoutError: the command did not end within ``seconds`` and was killed.
        """
        files = [stream.fileno() for stream in streams]
        with self._call(arguments, files, cwd, environment, waits=True) as answers:
            answers.settimeout(seconds)
            process_id = int(answers.recv(16))
            try:
                return int(answers.recv(16))
            except TimeoutError:
                os.kill(process_id, signal.SIGKILL)
                raise

    @contextmanager
    def _call(
        self,
        arguments: Sequence[str],
        streams: Sequence[int],
        cwd: Path,
        environment: Mapping[str, str],
        *,
        waits: bool,
    ) -> Iterator[socket.socket]:
        with self._starting:
            calls = self._calls = self._calls or _start()
        call = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment), "waits": waits}
        text = json.dumps(call).encode()
        assert len(text) <= _MAX_CALL_BYTES
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with answers, theirs:
            socket.send_fds(calls, [text], [theirs.fileno(), *streams])
            theirs.close()
            yield answers


class ForkedCommand(subprocess.Popen[Any]):
    """A command that the server forks instead of one that starts Python anew, in all else a process as any other."""

    def __init__(self, server: CommandServer, arguments: Sequence[str], **options: Any) -> None:
        self._server = server
        super().__init__(arguments, **options)

    def _execute_child(self, args: Sequence[str], *others: Any) -> None:
        """Start the process, as Popen's own method of this name does, with the arguments in its order."""
        cwd, environment, *ends = others[4], others[5], *others[9:15]
        streams = [number if end == -1 else end for number, end in enumerate((ends[0], ends[3], ends[5]))]
        self.pid = self._server.start(args, streams, cwd or Path.cwd(), environment)
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined] # private, as this method is


def _start() -> socket.socket:
    """Start the server and return the socket for calls."""
    # A command whose starter in the server has gone becomes a child of this process, which can then wait for it.
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("prctl")
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
    """Fork for each call, until the other end of the socket is closed."""
    _import_all()
    trust_extensions()
    gc.freeze()  # so that a child does not copy objects that it only reads
    running = _Children()
    while True:
        running.wait_for(calls)
        call, files, _, _ = socket.recv_fds(calls, _MAX_CALL_BYTES, 4)
        if not call:
            return
        todo = json.loads(call)
        if child := os.fork():
            running.add(child, files, answers=todo["waits"])
            continue
        calls.close()
        running.forget()
        _answer(todo, files)


class _Children:
    """The processes that the server started, and the sockets for the exit codes of those that a caller waits for."""

    def __init__(self) -> None:
        self._ready = selectors.DefaultSelector()

    def wait_for(self, calls: socket.socket) -> None:
        """Return when there is a call. Until then, send the exit code of each process that ends."""
        self._ready.register(calls, selectors.EVENT_READ)
        found = False
        while not found:
            for key, _ in self._ready.select():
                if key.fileobj is calls:
                    found = True
                else:
                    self._take(key)
        self._ready.unregister(calls)

    def add(self, child: int, files: Sequence[int], *, answers: bool) -> None:
        """Note a process. A caller that waits for it is sent its ID, and later its exit code."""
        answer, *streams = files
        for stream in streams if answers else files:
            os.close(stream)
        if answers:
            _send(answer, child)
        self._ready.register(os.pidfd_open(child), selectors.EVENT_READ, (child, answer if answers else None))

    def forget(self) -> None:
        """Close in a child what belongs to the server alone."""
        for key in list(self._ready.get_map().values()):
            os.close(key.fd)
            if key.data[1] is not None:
                os.close(key.data[1])
        self._ready.close()

    def _take(self, key: selectors.SelectorKey) -> None:
        child, answer = key.data
        self._ready.unregister(key.fd)
        os.close(key.fd)
        _, status = os.waitpid(child, 0)
        if answer is not None:
            _send(answer, os.waitstatus_to_exitcode(status))
            os.close(answer)


def _send(answer: int, number: int) -> None:
    with suppress(BrokenPipeError):  # the caller has timed out
        os.write(answer, b"%d" % number)


def _import_all() -> None:
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    for name in group.list_commands(context):
        group.get_command(context, name)
    # DuckDB's default database has a background thread, and a child would wait for it for ever.
    duckdb.execute("SET threads = 1")


def _answer(call: dict[str, Any], files: list[int]) -> NoReturn:
    """Run a command in this process, or for a caller that does not wait in one whose parent has gone."""
    answer, *streams = files
    if not call["waits"]:
        starter = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == starter:
            time.sleep(_PAUSE_SECONDS)
        os.write(answer, b"%d" % os.getpid())
    os.close(answer)
    _be_a_new_process(call, streams)


def _be_a_new_process(call: dict[str, Any], streams: list[int]) -> NoReturn:
    """Set up this process like a new one and run the command or the script."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["environment"])
    time.tzset()
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in enumerate("rww"))  # noqa: SIM115, PTH123
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if call["arguments"][:1] == ["-c"]:
        _, script, *arguments = call["arguments"]
        sys.argv = ["-c", *arguments]
        exec(script, {"__name__": "__main__"})  # noqa: S102 - the tests' own
        sys.exit(0)
    sys.argv = ["matterlog", *call["arguments"]]
    if not call["waits"]:
        main()  # ends with all that the interpreter does at its end
    try:
        main()
    except SystemExit as leaving:
        _end_at_once(leaving.code)
        raise


def _end_at_once(code: object) -> None:
    """End this process without taking all modules apart, which costs a forked process more than most commands."""
    if isinstance(code, int | None):
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - as the interpreter does: waits for all threads
        atexit._run_exitfuncs()  # noqa: SLF001 - as the interpreter does
        with suppress(OSError, ValueError):  # the interpreter tells what cannot be written
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code or 0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
