"""Two extracts compared: every difference is explained, or told."""

import csv
import io
import itertools
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from matterlog.consumers.database.store import Store
from matterlog.report.errors import ExtractUnreadable
from matterlog.report.handover.differences import Differences, ExtractFile, Purge, compare
from matterlog.report.log.filters import Filter
from matterlog.schemas import MatterDeleted, MatterViewed
from matterlog.schemas.columns import ColumnSet
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.budget import budget
from testbed.events import NOON, a_deletion, a_view
from tests.report.logs import a_log, apply, extract_of

FORMATS = ["csv", "json", "ndjson", "parquet"]
LATER = datetime(2026, 11, 22, tzinfo=UTC)
AWKWARD = "=1+1 \"Zoë\", 'and'\r\nש\tlast"


def written(paths: DatabaseFiles, name: str, format: str = "csv", **request: Any) -> ExtractFile:  # noqa: A002
    """An extract of a log as a file beside it, described as its manifest would."""
    file = paths.database.with_name(f"{name}.{format}")
    file.write_bytes(extract_of(paths, format=format, **request))
    return ExtractFile(
        path=file, format=format, raw_csv=request.get("raw_csv", False), filter=request.get("filter", Filter())
    )


def differences(old: ExtractFile, new: ExtractFile, *purges: Purge) -> Differences:
    """What comparing them says."""
    with compare(old, new, "1GB") as comparison:
        return comparison.explain(purges)


def counts(found: Differences) -> tuple[int, int, int, int, int]:
    """New, purged, left out, changed, unexplained."""
    return found.new, found.purged, found.left_out, found.changed, found.unexplained


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """A log of three awkward views in two matters."""
    views = [a_view(user_name=AWKWARD), a_view(matter_name="", user_company_name=""), a_view(matter_id="m-2")]
    return a_log(tmp_path, *views)


@pytest.mark.parametrize("with_event_id", [True, False])
def test_the_same_rows_are_equal_in_any_two_formats(paths: DatabaseFiles, *, with_event_id: bool) -> None:
    files = [written(paths, "x", each, columns=ColumnSet.FULL, with_event_id=with_event_id) for each in FORMATS]
    for old, new in itertools.product(files, repeat=2):
        found = differences(old, new)
        assert (found.old_rows, found.new_rows, counts(found)) == (3, 3, (0, 0, 0, 0, 0)), (old.format, new.format)
        assert found.are_explained


def test_a_formula_safe_file_equals_a_raw_one(paths: DatabaseFiles) -> None:
    found = differences(written(paths, "old"), written(paths, "new", raw_csv=True))
    assert counts(found) == (0, 0, 0, 0, 0)


def test_a_guarded_file_equals_one_without_guard_whatever_quotes_a_name_begins_with(tmp_path: Path) -> None:
    names = ("=x", "'=x", "''=x", "'x", "''x", "'")
    paths = a_log(tmp_path, *(a_view(user_name=name, matter_name=name) for name in names))
    assert counts(differences(written(paths, "old"), written(paths, "new", "json"))) == (0, 0, 0, 0, 0)


def test_new_rows_and_purged_rows_are_told_apart(paths: DatabaseFiles) -> None:
    old = written(paths, "old")
    with Store(paths) as store:
        apply(store, a_view(matter_id="m-3"), a_view(matter_id="m-3"), a_deletion(matter_id="m-2"))
    found = differences(old, written(paths, "new"), Purge("m-2", LATER))
    assert counts(found) == (2, 1, 0, 0, 0)
    assert [(purged.matter_id, purged.purged_at, purged.rows) for purged in found.purged_matters] == [("m-2", LATER, 1)]


def test_a_row_that_is_gone_without_a_reason_is_unexplained(paths: DatabaseFiles, tmp_path: Path) -> None:
    """The mark of a lost row, which is what the comparison is for."""
    old = written(paths, "old")
    other = tmp_path / "other"
    other.mkdir()
    found = differences(old, written(a_log(other), "new"), Purge("m-2", LATER))
    assert counts(found) == (0, 1, 0, 0, 2)
    assert not found.are_explained


def test_a_row_that_the_new_filter_leaves_out_is_explained(paths: DatabaseFiles) -> None:
    """A month's extract holds other days than the month's before."""
    with Store(paths) as store:
        apply(store, a_view(matter_viewed_at=NOON + timedelta(days=40)))
    old = written(paths, "old", filter=Filter(until=NOON + timedelta(days=1)))
    new = written(paths, "new", filter=Filter(since=NOON + timedelta(days=1)))
    assert counts(differences(old, new)) == (1, 0, 3, 0, 0)


def test_a_filter_by_company_explains_nothing_where_the_column_is_missing(paths: DatabaseFiles) -> None:
    new = written(paths, "new", filter=Filter(companies=("c-1",)))
    assert counts(differences(written(paths, "old"), new)) == (0, 0, 3, 0, 0)


def changed(file: ExtractFile, old: str, new: str) -> ExtractFile:
    """The file with a text replaced once."""
    text = file.path.read_bytes()
    assert old.encode() in text
    file.path.write_bytes(text.replace(old.encode(), new.encode(), 1))
    return file


def test_a_row_with_another_name_is_changed_where_the_event_is_known(paths: DatabaseFiles) -> None:
    old, new = (written(paths, name, "json", with_event_id=True) for name in ("old", "new"))
    found = differences(old, changed(new, '"m-2"', '"m-9"'))
    assert counts(found) == (0, 0, 0, 1, 0)
    assert not found.are_explained


def test_a_changed_row_is_told_as_such_where_the_new_filter_would_have_left_it_out(paths: DatabaseFiles) -> None:
    old = written(paths, "old", "json", with_event_id=True)
    new = written(paths, "new", "json", with_event_id=True, filter=Filter(matters=("m-2",)))
    assert counts(differences(changed(old, '"m-2"', '"m-9"'), new)) == (0, 0, 2, 1, 0)


def test_a_changed_row_without_its_event_is_one_gone_and_one_new(paths: DatabaseFiles) -> None:
    old, new = (written(paths, name, "json") for name in ("old", "new"))
    assert counts(differences(old, changed(new, '"m-2"', '"m-9"'))) == (1, 0, 0, 0, 1)


def test_equal_rows_count_as_often_as_they_stand(tmp_path: Path) -> None:
    """Without the event's ID two views of one instant look the same."""
    paths = a_log(tmp_path, a_view(), a_view(), a_view())
    old, new = written(paths, "old"), written(paths, "new")
    lines = new.path.read_bytes().split(b"\r\n")
    new.path.write_bytes(b"\r\n".join([*lines[:-2], b""]))
    assert counts(differences(old, new)) == (0, 0, 0, 0, 1)


def test_a_row_that_survived_its_matter_is_unexplained(paths: DatabaseFiles) -> None:
    """Whether the old file has it too or not; a purge after the new extract was made says nothing about it."""
    old, new = written(paths, "old"), written(paths, "new")
    for taken_at, unexplained in ((LATER, 1), (LATER - timedelta(days=2), 0)):
        dated = ExtractFile(path=new.path, format=new.format, filter=Filter(), taken_at=taken_at)
        found = differences(old, dated, Purge("m-2", LATER - timedelta(days=1)))
        assert counts(found) == (0, 0, 0, 0, unexplained)


def test_columns_that_one_file_lacks_are_not_compared(paths: DatabaseFiles) -> None:
    old = written(paths, "old", columns=ColumnSet.FULL, with_event_id=True)
    found = differences(old, written(paths, "new"))
    assert (len(found.columns), counts(found)) == (8, (0, 0, 0, 0, 0))


def test_an_empty_extract_compares_in_any_two_formats(tmp_path: Path) -> None:
    paths = a_log(tmp_path)
    empty = [written(paths, "old", each) for each in FORMATS]
    with Store(paths) as store:
        apply(store, a_view())
    filled = [written(paths, "new", each) for each in FORMATS]
    for old, new in itertools.product(empty, filled):
        assert counts(differences(old, new)) == (1, 0, 0, 0, 0), (old.format, new.format)
        assert counts(differences(new, old)) == (0, 0, 0, 0, 1), (new.format, old.format)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"user_ID,when\r\n1,2\r\n", "lacks the columns user_name"),
        (b"", "lacks the columns user_ID"),
        (b"\xff\xfe\x00", "cannot be read as csv"),
    ],
)
def test_what_is_no_extract_is_refused(paths: DatabaseFiles, tmp_path: Path, content: bytes, message: str) -> None:
    strange = tmp_path / "strange.csv"
    strange.write_bytes(content)
    with pytest.raises(ExtractUnreadable, match=message):
        differences(ExtractFile(path=strange, format="csv"), written(paths, "new"))


def test_a_cut_file_is_refused(paths: DatabaseFiles) -> None:
    for format_ in FORMATS:
        old, new = written(paths, "old", format_), written(paths, "new", format_)
        old.path.write_bytes(old.path.read_bytes()[:-40])
        with pytest.raises(ExtractUnreadable):
            differences(old, new)


def test_an_hour_that_another_program_rewrote_is_refused_with_its_row(paths: DatabaseFiles) -> None:
    old = changed(written(paths, "old"), "2026-03-01T12:00:00.678901Z", "01/03/2026 12:00")
    with pytest.raises(ExtractUnreadable, match=r"old.csv: row 1 has no .* Another program"):
        differences(old, written(paths, "new"))


def test_the_differing_rows_are_given_as_an_extract_writes_them(paths: DatabaseFiles) -> None:
    old = written(paths, "old", with_event_id=True)
    with Store(paths) as store:
        apply(store, a_deletion())
    with compare(old, written(paths, "new", with_event_id=True), "1GB") as comparison:
        comparison.explain([Purge("m-42", LATER)])
        rows = list(comparison.rows())
    assert [row["difference"] for row in rows] == ["purged", "purged"]
    assert sorted(row["user_name"] for row in rows) == sorted([AWKWARD, a_view().user_name])
    assert {row["matter_viewed_at"] for row in rows} == {"2026-03-01T12:00:00.678901Z"}


def test_what_a_comparison_needs_for_a_moment_lies_in_a_private_folder_beside_the_later_one(
    paths: DatabaseFiles,
) -> None:
    """The rows of both are personal data, and may be more than the folder of temporary files holds."""
    old, new = written(paths, "old"), written(paths, "new")
    with compare(old, new, "1GB"):
        (folder,) = new.path.parent.glob(".matterlog-*")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def rows_of(file: ExtractFile) -> list[list[str]]:
    """The rows of a CSV extract."""
    return list(csv.reader(io.StringIO(file.path.read_text("utf-8"), newline="")))[1:]


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(budget(6, 200)))
def test_each_difference_of_a_random_history_is_explained(tmp_path: Path, seed: int) -> None:
    """And a row taken out of the new file behind the log's back is the one that is not."""
    dice = random.Random(seed)  # noqa: S311 - a seeded test
    matters = [f"m-{number}" for number in range(6)]

    def some_views() -> Sequence[MatterViewed]:
        return [a_view(matter_id=dice.choice(matters[:5])) for _ in range(dice.randrange(30))]

    paths = a_log(tmp_path, *some_views(), a_view(matter_id="m-5"))
    old = written(paths, "old", dice.choice(FORMATS))
    purged: list[MatterDeleted] = [a_deletion(matter_id=matter) for matter in dice.sample(matters[:5], 2)]
    with Store(paths) as store:
        apply(store, *some_views(), *purged)
    new = written(paths, "new")
    purges = [Purge(deletion.matter_id, LATER) for deletion in purged]
    found = differences(old, new, *purges)
    assert found.are_explained
    assert found.new_rows == found.old_rows + found.new - found.purged
    assert len(rows_of(new)) == found.new_rows
    lines = new.path.read_bytes().split(b"\r\n")
    new.path.write_bytes(b"\r\n".join(line for line in lines if b"m-5" not in line))
    assert counts(differences(old, new, *purges))[4] == 1
