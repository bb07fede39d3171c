"""``matterlog plot`` as people run it: offline and while a consumer owns the database, whole or not there."""

from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned, run
from tests.report.charts.planted import planted_views
from tests.report.logs import a_log

WEEK: Final = ("--from", "2026-03-23", "--to", "2026-03-29", "--timezone", "Europe/London")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    return a_log(tmp_path_factory.mktemp("planted"), *planted_views())


@pytest.mark.parametrize("subject", ["activity", "matters", "users", "clients"])
def test_each_subject_is_drawn(planted: DatabaseFiles, tmp_path: Path, subject: str) -> None:
    """The title goes to standard error with what was written."""
    ended = done("plot", subject, "--database", planted.database, *WEEK, "--output", tmp_path / "x.svg")
    (drawn,) = tmp_path.iterdir()
    assert drawn.read_bytes().startswith(b"<svg")
    assert ended.out == b""
    assert f"{drawn.stat().st_size:,} bytes to {drawn}" in ended.err


def test_an_owner_and_a_foreign_clock_change_nothing(planted: DatabaseFiles, tmp_path: Path) -> None:
    """Not a byte: days are those of the time zone asked for, wherever it is drawn."""
    plot = ("plot", "activity", "--database", planted.database, *WEEK, "--output")
    done(*plot, tmp_path / "alone.svg", settings={"TZ": "America/Los_Angeles"})
    with owned(planted):
        done(*plot, tmp_path / "owned.svg", settings={"TZ": "Asia/Tokyo"})
    drawn = (tmp_path / "alone.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "owned.svg").read_text(encoding="utf-8")
    assert ">23 Mar<" in drawn
    assert "Day, Europe/London" in drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["users", "--output", "x.pdf"], "'x.pdf' does not end with .svg, .png or .html"),
        (["users", "--output", "x.svg", "--by", "week"], "--by works only with plot activity"),
        (["users", "--output", "x.svg", "--expected", "y"], "--expected works only with plot clients"),
        (["users", "--output", "x.svg", "--timezone", "Mars"], "'Mars' is not a time zone"),
    ],
)
def test_wrong_use_is_told_and_nothing_is_written(
    planted: DatabaseFiles, tmp_path: Path, options: list[str], said: str
) -> None:
    ended = run("plot", *options, "--database", planted.database, cwd=tmp_path)
    assert ended.code == 2
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_error(planted: DatabaseFiles, tmp_path: Path) -> None:
    ended = run("plot", "users", "--database", planted.database, *WEEK, "--output", "missing/x.svg", cwd=tmp_path)
    assert ended.code == 1
    assert ended.err == ("matterlog: missing/x.svg cannot be written (No such file or directory): no file was left\n")
