"""The first second of a command: a signal is heard before the slow imports are done."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from testbed.events import a_view
from tests.report.logs import a_log

START: Final = "from matterlog.app.main import main; main()"
# Stands in for a library whose import takes its time.
SLOW: Final = "import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n"
# As duckdb, which makes an error of its own of what a signal handler raises amid its import.
GARBLING: Final = SLOW.replace(
    "time.sleep(60)", "try: time.sleep(60)\nexcept BaseException: raise ImportError('failed')"
)


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("command", "code"), [("consume", 0), ("serve", 0), ("broker", 0), ("export", None)])
def test_a_signal_during_the_imports_ends_the_process(
    tmp_path: Path, number: signal.Signals, command: str, code: int | None
) -> None:
    """Well where it is a service; a command that is cut short says so by its code."""
    assert end_amid_import(tmp_path, "typer", SLOW, number, command) == (128 + number if code is None else code)


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("library", "text"),
    [("pydantic", SLOW), ("duckdb", GARBLING), ("confluent_kafka", SLOW)],
    ids=["pydantic", "duckdb", "kafka"],
)
def test_a_signal_is_heard_before_the_first_import_and_after_the_last(
    tmp_path: Path, number: signal.Signals, library: str, text: str
) -> None:
    """Whatever the library makes of it; Ctrl-C and SIGTERM alike, until the service waits for them itself."""
    assert end_amid_import(tmp_path, library, text, number, "consume") == 0


def end_amid_import(folder: Path, library: str, text: str, number: signal.Signals, command: str) -> int:
    """Send a command a signal while it imports a library that this text stands for; return its exit code."""
    (folder / f"{library}.py").write_text(text)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    with subprocess.Popen(
        [sys.executable, "-c", START, command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        code = process.wait(30)
        assert process.stderr.read() == ""
        return code


NOBODY: Final = "import pwd; pwd.getpwuid = {}.__getitem__; " + START


@pytest.mark.process
def test_a_user_without_a_home_folder_can_draw(tmp_path: Path) -> None:
    """As most users of a container, whom the machine does not know."""
    a_log(tmp_path, a_view())
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    command = [
        sys.executable,
        "-c",
        NOBODY,
        "plot",
        "activity",
        "--all",
        "--output",
        "x.svg",
        "--database",
        "log.duckdb",
    ]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert (tmp_path / "x.svg").stat().st_size > 0
