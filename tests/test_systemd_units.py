"""The units of docs/systemd run what the commands and the documents say."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from configparser import RawConfigParser
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from matterlog.app import main
from matterlog.app.commands import _NAMES, app
from matterlog.app.service import consumer_pipeline, service
from testbed.events import a_view
from tests.report.logs import a_log

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "systemd"
UNITS: Final = sorted(FOLDER.iterdir())
SERVICES: Final = [path for path in UNITS if path.suffix == ".service"]
TIMED: Final = [path.with_suffix(".service") for path in UNITS if path.suffix == ".timer"]
FOR_EVER: Final = [path for path in SERVICES if path not in TIMED]


def each(paths: Sequence[Path]) -> pytest.MarkDecorator:
    """Give a test each of these units."""
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


def service_of(path: Path) -> dict[str, str]:
    """The section that says how the process runs; of a name that is repeated the last one."""
    parser = RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read_string(path.read_text(encoding="utf-8"))
    return dict(parser["Service"])


def test_there_is_a_unit_for_each_command_that_runs_for_ever_and_operations_names_it() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    commands = {shlex.split(service_of(path)["ExecStart"])[1] for path in FOR_EVER}
    assert commands == {"serve", "consume"} == main._SERVICES - {"broker"} == commands & set(_NAMES)
    reports = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    for path in UNITS:
        assert f"(systemd/{path.name})" in operations + reports


@each(TIMED)
def test_what_a_timer_starts_ends_well_on_a_log_without_trouble(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the timer starts what is due, also what was due while the machine was off."""
    monkeypatch.setenv("MATTERLOG_DATABASE", str(a_log(tmp_path, a_view()).database))
    commands = re.findall(r"^ExecStart=\S+/matterlog (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert commands
    for command in commands:
        ended = CliRunner().invoke(app, shlex.split(command.replace("/srv/reports", str(tmp_path / "reports"))))
        assert ended.exit_code == 0, ended.output
    assert service_of(path)["Type"] == "oneshot"
    timer = path.with_suffix(".timer").read_text(encoding="utf-8")
    assert {"Persistent=true", "WantedBy=timers.target"} <= set(timer.splitlines())


@each(FOR_EVER)
def test_it_starts_again_unless_it_was_called_wrongly_and_has_time_to_end(path: Path) -> None:
    """For ever: a broker may be away for a night."""
    unit = service_of(path)
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == str(main._WRONG_USE)
    assert "StartLimitIntervalSec=0" in path.read_text(encoding="utf-8")
    assert unit["KillMode"] == "mixed"
    assert int(unit["TimeoutStopSec"]) > 2 * (service.DOWNLOADS_END_SECONDS + consumer_pipeline._FINISH_SECONDS)


@each(SERVICES)
def test_it_is_shut_in_with_secrets_in_a_file_and_none_in_the_unit(path: Path) -> None:
    """Units are readable for everybody."""
    unit = service_of(path)
    assert unit["User"] == "matterlog"
    assert (unit["UMask"], unit["StateDirectoryMode"]) == ("0077", "0700")
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ""
    assert unit["EnvironmentFile"].startswith("/etc/matterlog/")
    assert re.findall(r"^Environment=(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE) == ["MATTERLOG_DATABASE"]
    assert "MemoryDenyWriteExecute" not in unit
    assert "LimitAS" not in unit


@each(UNITS)
def test_systemd_accepts_it_where_there_is_one(path: Path, tmp_path: Path) -> None:
    """A name that systemd does not know, or a section that it stands in wrongly, is a warning there."""
    for unit in UNITS:  # a timer names its service
        text = unit.read_text(encoding="utf-8").replace("/opt/matterlog/bin/matterlog", sys.executable)
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    if (analyze := shutil.which("systemd-analyze")) is not None:
        told = subprocess.run(
            [analyze, "verify", tmp_path / path.name], capture_output=True, text=True, timeout=60, check=False
        )
        assert (told.returncode, told.stderr) == (0, "")
