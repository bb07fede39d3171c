"""The units of docs/systemd run what the commands and the documents say."""

import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from typing import Final

import pytest

from matterlog.app import main
from matterlog.app.commands import _NAMES
from matterlog.app.service import consumer_pipeline, service

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs" / "systemd"
UNITS: Final = sorted(FOLDER.iterdir())
each_unit = pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)


def service_of(path: Path) -> dict[str, str]:
    """The section that says how the process runs; a unit that repeats a name would be read wrongly here."""
    parser = RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read_string(path.read_text(encoding="utf-8"))
    return dict(parser["Service"])


def test_there_is_a_unit_for_each_command_that_runs_for_ever_and_operations_names_it() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    commands = {shlex.split(service_of(path)["ExecStart"])[1] for path in UNITS}
    assert commands == {"serve", "consume"} == main._SERVICES - {"broker"} == commands & set(_NAMES)
    for path in UNITS:
        assert f"(systemd/{path.name})" in operations


@each_unit
def test_it_starts_again_unless_it_was_called_wrongly_and_has_time_to_end(path: Path) -> None:
    """For ever: a broker may be away for a night."""
    unit = service_of(path)
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == str(main._WRONG_USE)
    assert "StartLimitIntervalSec=0" in path.read_text(encoding="utf-8")
    assert unit["KillMode"] == "mixed"
    assert int(unit["TimeoutStopSec"]) > 2 * (service.DOWNLOADS_END_SECONDS + consumer_pipeline._FINISH_SECONDS)


@each_unit
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


@each_unit
def test_systemd_accepts_it_where_there_is_one(path: Path, tmp_path: Path) -> None:
    """A name that systemd does not know, or a section that it stands in wrongly, is a warning there."""
    text = path.read_text(encoding="utf-8").replace("/opt/matterlog/bin/matterlog", sys.executable)
    (tmp_path / path.name).write_text(text, encoding="utf-8")
    if (analyze := shutil.which("systemd-analyze")) is not None:
        told = subprocess.run(
            [analyze, "verify", tmp_path / path.name], capture_output=True, text=True, timeout=60, check=False
        )
        assert (told.returncode, told.stderr) == (0, "")
