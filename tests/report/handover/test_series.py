"""Series: full and deltas add up to the full extract, whatever happens in between."""

import csv
import io
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from matterlog.consumers.database.store import Store
from matterlog.report.errors import BadSeries, ExtractFailed, InvalidFilter
from matterlog.report.extracts.extracts import Extract, write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.manifest import KnownEnds, manifest_path
from matterlog.report.handover.register import FileRegister
from matterlog.report.handover.series import Part, Series
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.budget import budget
from testbed.events import NOON, a_deletion, a_view
from testbed.feed import apply_records
from tests.consumers.histories import History
from tests.report.logs import StoreSource, a_log, apply

EVERYTHING: Final = ExtractRequest.model_validate({"format": "csv", "with_event_id": True})
SEEDS: Final = range(budget(4, 100))


def write(store: Store, folder: Path, request: ExtractRequest = EVERYTHING) -> Part:
    """Write the next part of the series ``s``."""
    log = StoreSource(store, FileRegister(folder / "register.sqlite"))
    return Series(folder, "s").write_part(log, request, "cron", lambda: KnownEnds(not_known_because="nobody asked"))


def rows_of(data: bytes) -> Counter[tuple[str, ...]]:
    """The rows of CSV as a multiset."""
    _, *rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    return Counter(map(tuple, rows))


def added_up(parts: list[Part]) -> Counter[tuple[str, ...]]:
    """What a reader of the files comes to; the sixth column is the matter's ID."""
    rows: Counter[tuple[str, ...]] = Counter()
    for part in parts:
        if part.place.kind == "full":
            rows.clear()
        gone = {purge.matter_id for purge in part.manifest.purges or ()}
        rows = Counter({row: number for row, number in rows.items() if row[5] not in gone})
        rows += rows_of(part.path.read_bytes())
    return rows


def full(store: Store) -> Counter[tuple[str, ...]]:
    """What the full extract has."""
    chunks: list[bytes] = []
    with store.reader() as connection:
        write_extract(connection, EVERYTHING, chunks.append)
    return rows_of(b"".join(chunks))


@pytest.mark.faults
@pytest.mark.parametrize("seed", SEEDS)
def test_full_and_deltas_add_up_to_the_full_extract(tmp_path: Path, seed: int) -> None:
    """Random histories: late events, duplicates, conflicts, purges, parts at random moments."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    with Store(DatabaseFiles(tmp_path / "log.duckdb")) as store:
        for history in (History(number, dice) for number in range(3)):
            for batch in history.reading(dice):
                apply_records(store, *batch)
                if dice.random() < 0.3:
                    write(store, tmp_path)
                    assert added_up(Series(tmp_path, "s").parts()) == full(store)
        write(store, tmp_path)
        parts = Series(tmp_path, "s").parts()
        assert added_up(parts) == full(store)
    assert [part.place.kind for part in parts] == ["full"] + ["delta"] * (len(parts) - 1)


@pytest.fixture
def log(tmp_path: Path) -> DatabaseFiles:
    """A log with views of two matters."""
    return a_log(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-2"))


def test_a_delta_holds_what_arrived_however_old_it_is_and_names_what_was_purged(
    log: DatabaseFiles, tmp_path: Path
) -> None:
    """By arrival, not by the view's own instant; the chain is the hash of the manifest before."""
    with Store(log) as store:
        first = write(store, tmp_path)
        apply(store, a_view(user_id="late", matter_viewed_at=NOON.replace(year=2001)), a_deletion(matter_id="m-1"))
        second = write(store, tmp_path)
        third = write(store, tmp_path)
    assert [part.path.name for part in (first, second, third)] == ["s.0001.csv", "s.0002.csv", "s.0003.csv"]
    assert [part.manifest.rows for part in (first, second, third)] == [2, 1, 0]
    assert b"late" in second.path.read_bytes()
    assert [purge.matter_id for purge in second.manifest.purges or ()] == ["m-1"]
    assert third.manifest.purges == ()
    assert (first.place.begins_because, second.place.begins_because) == ("it is the first part of the series", None)
    assert second.place.previous_manifest_sha256 == first.manifest_sha256
    assert [entry.how for entry in FileRegister(tmp_path / "register.sqlite").extracts()] == ["series"] * 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": "json"}, "format"),
        ({"filter": {"users": ["u-1"]}}, "filter"),
        ({"columns": "full"}, "columns"),
        ({"raw_csv": True}, "options"),
    ],
)
def test_another_request_than_the_first_is_refused(
    log: DatabaseFiles, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    """Or the parts would not add up."""
    other = ExtractRequest.model_validate(EVERYTHING.model_dump() | change)
    with Store(log) as store:
        write(store, tmp_path)
        with pytest.raises(InvalidFilter, match=f"was begun with different .*{named}"):
            write(store, tmp_path, other)
        assert len(Series(tmp_path, "s").parts()) == 1


def test_another_log_begins_a_new_full_part_and_says_why(log: DatabaseFiles, tmp_path: Path) -> None:
    """Numbers of transactions of two logs do not compare."""
    with Store(log) as store:
        write(store, tmp_path)
        store._connection.execute("DELETE FROM log")
        store._connection.execute("INSERT INTO log VALUES ($id, 99)", {"id": UUID(int=7)})
        again = write(store, tmp_path)
    assert (again.place.part, again.place.kind, again.manifest.rows) == (2, "full", 2)
    assert "it was restored or rebuilt" in str(again.place.begins_because)
    assert again.manifest.purges is None


def test_a_log_that_went_back_begins_a_new_full_part(log: DatabaseFiles, tmp_path: Path) -> None:
    """A copy put back without a new identity must not be believed."""
    with Store(log) as store:
        write(store, tmp_path)
        store._connection.execute("UPDATE log SET last_arrival = 0")
        assert write(store, tmp_path).place.kind == "full"


def test_two_runs_at_once_make_one_part(log: DatabaseFiles, tmp_path: Path) -> None:
    """The second is told to wait, and the first is not disturbed."""
    series = Series(tmp_path, "s")
    with Store(log) as store:
        with series._alone(), pytest.raises(BadSeries, match="another run is writing the series s"):
            write(store, tmp_path)
        assert write(store, tmp_path).place.part == 1


def test_what_a_crash_left_is_replaced_by_the_next_run(log: DatabaseFiles, tmp_path: Path) -> None:
    """Half a file, and a whole one whose manifest never came."""
    (tmp_path / ".s.0002.csv.0123abcd.partial").write_bytes(b"half")
    (tmp_path / "s.0002.csv").write_bytes(b"whole, but of nobody")
    with Store(log) as store:
        write(store, tmp_path)
        second = write(store, tmp_path)
    assert second.path.read_bytes().startswith(b"user_ID,")
    assert not list(tmp_path.glob(".s.*.partial"))


def test_an_extract_that_fails_adds_no_part(
    log: DatabaseFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next run goes on."""

    def fails(*_: object) -> Extract:
        raise ExtractFailed("the disk is full")

    with Store(log) as store:
        write(store, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(StoreSource, "extract", fails)
            with pytest.raises(ExtractFailed, match="the disk is full"):
                write(store, tmp_path)
        assert write(store, tmp_path).place.part == 2


def test_a_manifest_that_was_changed_breaks_the_chain(log: DatabaseFiles, tmp_path: Path) -> None:
    """One blank in it is enough; so is a part that is missing."""
    with Store(log) as store:
        first, second, _ = write(store, tmp_path), write(store, tmp_path), write(store, tmp_path)
        before = manifest_path(first.path).read_bytes()
        manifest_path(first.path).write_bytes(before + b" ")
        with pytest.raises(BadSeries, match=r"s\.0002\.csv does not follow from the manifest of part 1"):
            write(store, tmp_path)
        manifest_path(first.path).write_bytes(before)
        manifest_path(second.path).unlink()
        with pytest.raises(BadSeries, match="part 2 of the series s is missing"):
            write(store, tmp_path)


def test_a_series_of_another_name_in_the_same_folder_is_another(log: DatabaseFiles, tmp_path: Path) -> None:
    """Also one whose name begins alike."""
    with Store(log) as store:
        write(store, tmp_path)
    manifest = json.loads((tmp_path / "s.0001.csv.manifest.json").read_bytes())
    (tmp_path / "s2.0001.csv.manifest.json").write_text(json.dumps(manifest))
    assert len(Series(tmp_path, "s").parts()) == 1


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "a.b", "x" * 31, "ä", "*"])
def test_a_name_that_is_no_part_of_a_files_name_is_refused(tmp_path: Path, name: str) -> None:
    """With what it may be."""
    with pytest.raises(InvalidFilter, match="use 1 to 30 letters, digits, - and _"):
        Series(tmp_path, name)
