"""An analysis that is declared and registered is a command, a picture and a file with its manifest."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.handover.register import FileRegister
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import PATIENCE_SECONDS, environment
from tests.report.charts.planted import planted_views
from tests.report.engagement.toy import TOY
from tests.report.logs import a_log

ROOT: Final = Path(__file__).parents[3]
WEEK: Final = ("--from", "2026-03-23", "--to", "2026-03-29", "--timezone", "Europe/London")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    return a_log(tmp_path_factory.mktemp("planted"), *planted_views())


def matterlog(*arguments: str | Path) -> str:
    """What the command line with the toy in it writes."""
    command = [sys.executable, "-m", "tests.report.engagement.toy", *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_is_offered_and_reads_as_a_table(planted: DatabaseFiles) -> None:
    """By its heading, its columns and its rule."""
    assert "<users|matters|clients|activity|toy>" in matterlog("engagement", "--help")
    lines = matterlog("engagement", "toy", "--database", planted.database, *WEEK).splitlines()
    assert lines[0].startswith("Toys, 2026-03-23 to 2026-03-29, Europe/London")
    assert (lines[-1], ["live", "18"] in [line.split() for line in lines]) == ("By kind.", True)


def test_it_is_drawn(planted: DatabaseFiles, tmp_path: Path) -> None:
    """By what is registered among the pictures."""
    matterlog("plot", "toy", "--database", planted.database, *WEEK, "--output", tmp_path / "toy.svg")
    assert ">1 kinds<" in (tmp_path / "toy.svg").read_text(encoding="utf-8")


def test_it_is_a_file_with_its_manifest_and_a_place_in_the_register(
    planted: DatabaseFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest names it, and holds."""
    out = tmp_path / "toy.csv"
    matterlog("engagement", "toy", "--database", planted.database, *WEEK, "--output", out)
    assert out.read_bytes() == b"kind,views,visits\r\nlive,20,18\r\n"
    manifest = json.loads((tmp_path / "toy.csv.manifest.json").read_text(encoding="utf-8"))
    assert (manifest["engagement"]["analysis"], manifest["columns"]) == ("toy", ["kind", "views", "visits"])
    assert matterlog("verify-extract", out).startswith(f"{out} matches")
    monkeypatch.setitem(ANALYSES, TOY.name, TOY)
    assert [(entry.analysis, entry.rows) for entry in FileRegister(planted.extracts).extracts()] == [("toy", 1)]
