"""An operator's terminal, for the commands that a document shows."""

import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.app.errors import WrongUse
from matterlog.schemas import MatterlogError
from testbed.command import start
from tests.consoles import Shown, in_columns

FOLDER_SHOWN: Final = "/var/lib/matterlog"
# Commands that run until they are stopped, and what each logs when it is ready.
_READY: Final = {"matterlog consume": b"consuming into", "matterlog serve": b"Started server process"}
_TELL_CODE: Final = '; echo "exit code $?"'


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal in the folder of a log.

    Args:
        folder: where the terminal is; the present folder of this process too.
        settings: the variables.
        written: what a document has in the place of what is so in this run alone.
        after_each: called after each command.
    """

    folder: Path
    settings: Mapping[str, str]
    written: Mapping[str, str] = field(default_factory=dict)
    after_each: Callable[[], None] = lambda: None

    def output_of(self, shown: Shown) -> str:
        """Run a shown command and return its output: without log lines, unless it runs until it is stopped."""
        command = shown.command.removesuffix(_TELL_CODE)
        code, output = self._until_stopped(command) if command in _READY else self._run(command)
        self.after_each()
        assert code == 0 or command != shown.command, f"{command}: {output}"
        if command != shown.command:
            output += f"exit code {code}\n"
        for real, written in {str(self.folder): FOLDER_SHOWN, **self.written}.items():
            output = output.replace(real, written)
        return in_columns("".join(f"{line.rstrip()}\n" for line in output.splitlines()))

    def _run(self, command: str) -> tuple[int, str]:
        """Run a command in this process, which costs a tenth of a new one."""
        echo, _, command = command.rpartition(" | ")
        given = "".join(f"{line}\n" for line in shlex.split(echo)[1:])
        ended = CliRunner().invoke(app, shlex.split(command)[1:], input=given, env=self.settings)
        if isinstance(ended.exception, MatterlogError):  # as matterlog.app.main ends it
            code = 2 if isinstance(ended.exception, WrongUse) else 1
            return code, f"{ended.output}matterlog: {ended.exception}\n"
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended.exit_code, ended.output

    def _until_stopped(self, command: str) -> tuple[int, str]:
        with start(*shlex.split(command)[1:], cwd=self.folder, settings=self.settings) as process:
            assert process.stderr is not None
            logged: list[bytes] = []
            while not logged or _READY[command] not in logged[-1]:
                logged.append(process.stderr.readline())
                assert logged[-1], b"".join(logged)
            process.send_signal(signal.SIGINT)
            out, rest = process.communicate()
        return process.returncode, (b"".join(logged) + rest + out).decode()
