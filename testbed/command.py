"""The ``matterlog`` command as a separate process, as people and supervisors run it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from matterlog.app.owner.access import find_owner
from matterlog.app.owner.owner import answering
from matterlog.app.owner.question import Owner
from matterlog.consumers.database.store import Store
from matterlog.consumers.materialise import decoder
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command_server import CommandServer, ForkedCommand

MATTERLOG: Final = Path(sys.executable).with_name("matterlog")
PATIENCE_SECONDS: Final = 120.0
_SERVER: Final = CommandServer()
NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a command: exit code, standard output and standard error."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """The standard output as text."""
        return self.out.decode()


def environment(settings: Mapping[str, str] = NONE) -> dict[str, str]:
    """Return this process's environment with these settings, without other matterlog variables and terminal sizes."""
    hidden = ("MATTERLOG_", "SCHEMA_REGISTRY", "COLUMNS", "LINES")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(hidden)}, **settings}


def start(
    *arguments: str | Path, cwd: Path | None = None, settings: Mapping[str, str] = NONE
) -> "subprocess.Popen[bytes]":
    """Start a command without waiting for it."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return popen(arguments, cwd=cwd, env=environment(settings), **pipes)


def popen(arguments: Iterable[object], **options: Any) -> "subprocess.Popen[Any]":
    """Start a command, or a script behind ``-c``, as a child of this process that the command server forks.

    Args:
        arguments: the command's.
        options: Popen's for the streams, the folder and the environment.
    """
    return ForkedCommand(_SERVER, [str(argument) for argument in arguments], **options)


def run(
    *arguments: str | Path, cwd: Path | None = None, given: bytes = b"", settings: Mapping[str, str] = NONE
) -> Ended:
    """Run a command to its end in a child of the command server. ``given`` is its standard input."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(given)
        for stream in (stdin, out, err):
            stream.seek(0)
        texts = [str(argument) for argument in arguments]
        code = _SERVER.run(texts, (stdin, out, err), cwd or Path.cwd(), environment(settings), PATIENCE_SECONDS)
        for stream in (out, err):
            stream.seek(0)
        return Ended(code, out.read(), err.read().decode())


def run_script(script: str, *arguments: object, cwd: Path | None = None, settings: Mapping[str, str] = NONE) -> Ended:
    """Run a Python script to its end in a child of the command server."""
    return run("-c", script, *map(str, arguments), cwd=cwd, settings=settings)


def done(
    *arguments: str | Path, cwd: Path | None = None, given: bytes = b"", settings: Mapping[str, str] = NONE
) -> Ended:
    """Run a command that must succeed."""
    ended = run(*arguments, cwd=cwd, given=given, settings=settings)
    assert ended.code == 0, ended.err
    return ended


def end_of(process: "subprocess.Popen[bytes]") -> Ended:
    """Wait for a started command and return its result."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return Ended(process.returncode, out, err.decode())


def wait_until_it_answers(database: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a started owner answers. A killed owner's socket does not answer."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with find_owner(DatabaseFiles(database)) as owner:
            if owner is not None:
                return
        assert process.poll() is None, end_of(process).err
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def consuming(
    database: Path, *arguments: str, settings: Mapping[str, str] = NONE
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a consumer that owns a database while the block runs. It must exit with 0 unless the block ends it."""
    process = start("consume", "--database", database, *arguments, settings=settings)
    try:
        wait_until_it_answers(database, process)
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            ended = end_of(process)
            assert ended.code == 0, ended.err
    finally:
        with process:
            process.kill()


@contextlib.contextmanager
def owned(paths: DatabaseFiles) -> Iterator[Store]:
    """Open a database as its owner in this process, and answer on its socket."""
    topics = Topics()
    with Store(paths) as store, answering(Owner(store, decoder(topics, RegisteredSchemas(None)))):
        yield store
