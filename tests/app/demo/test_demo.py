"""`matterlog demo`: every step with counts that add up, twice in a row."""

import csv
import json
import re
from pathlib import Path
from typing import Final

import pytest

from matterlog.report.extracts.formats import FORMATS
from matterlog.report.handover.register import FileRegister
from matterlog.report.log.reader import open_for_reading, read_status
from matterlog.report.purges.receipts import read_receipts
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import Ended, done, run, run_script

VIEWS: Final = 1_500


def figures(line: str) -> list[int]:
    """The whole numbers of a line."""
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", line)]


def add_up(ended: Ended, folder: Path) -> int:
    """Check the closing summary against itself and the files; return the rows."""
    lines = ended.text.splitlines()
    index = next(index for index, line in enumerate(lines) if line.startswith("Adds up"))
    emitted, stored, duplicates, refused, deletions, dead = figures(lines[index])
    stored_again, purged, rows = figures(lines[index + 1])
    assert emitted == stored + duplicates + refused + deletions + dead
    assert (stored, dead, deletions) == (VIEWS, 1, 3)
    assert stored_again - purged == rows == stored - purged
    with (folder / "activity-report.csv").open(newline="", encoding="utf-8") as file:
        assert sum(1 for _ in csv.DictReader(file)) == rows
    assert len(json.loads((folder / "activity-report.json").read_bytes())) == rows
    return rows


def test_the_demo_runs_twice_in_a_row_and_its_counts_add_up(tmp_path: Path) -> None:
    """In between somebody looks at it; what else is in the folder stays."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "notes.txt").write_text("mine")
    for _ in range(2):
        ended = done("demo", "--views", str(VIEWS), "--matters", "9", cwd=tmp_path)
        rows = add_up(ended, tmp_path / "demo")
        with open_for_reading(DatabaseFiles(tmp_path / "demo" / "matterlog.duckdb")) as connection:
            found, receipts = read_status(connection), read_receipts(connection)
        assert [receipt.recall_complete for receipt in receipts] == [True] * 3
        assert (found.rows, found.deleted_matters, found.dead_letters) == (rows, 3, 1)
    assert {path.name for path in (tmp_path / "demo").iterdir()} >= {"activity-report.csv", "activity-report.json"}
    assert len(FileRegister(tmp_path / "demo" / "matterlog.duckdb.extracts.sqlite").extracts()) == len(FORMATS)
    for kind in FORMATS:
        done("verify-extract", tmp_path / "demo" / f"activity-report.{kind}")
    assert (tmp_path / "demo" / "notes.txt").read_text() == "mine"


@pytest.mark.postgresql
def test_the_demo_on_a_lake_adds_up_too_and_takes_its_lake_with_it(tmp_path: Path) -> None:
    """It needs no server, no root and no question, and leaves the extracts."""
    arguments = ("--views", VIEWS, "--matters", 9)
    ended = run_script("from testbed.lake_demo import main; main()", *arguments, cwd=tmp_path)
    assert ended.code == 0, ended.err
    add_up(ended, tmp_path / "demo")
    place = re.search(r"^Lake .* Parquet files in (\S+/matterlog-demo-\w+)/", ended.text, re.MULTILINE)
    assert place is not None
    assert not Path(place[1]).exists()
    assert not list((tmp_path / "demo").glob("matterlog.duckdb*"))
    for kind in FORMATS:
        done("verify-extract", tmp_path / "demo" / f"activity-report.{kind}")


def test_the_smallest_firm_has_a_demo_too(tmp_path: Path) -> None:
    """One user, one matter, one view, and that matter is deleted."""
    ended = done("demo", "--folder", tmp_path / "x", "--views", "1", "--matters", "1", "--users", "1")
    assert "+ 1 deletions + 1 dead letter" in ended.text
    assert "1 stored - 1 purged = 0 rows" in ended.text


def test_a_demo_of_nothing_is_wrong_use(tmp_path: Path) -> None:
    """Nothing is made."""
    ended = run("demo", "--views", "0", cwd=tmp_path)
    assert ended.code == 2
    assert list(tmp_path.iterdir()) == []
