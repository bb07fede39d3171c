"""Extracts: the golden bytes, what a spreadsheet may not run, and that an extract is whole or an error."""

import csv
import hashlib
import io
import json
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.extracts import write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.extracts.whole_file import whole_file, whole_files
from matterlog.report.log.filters import Filter
from matterlog.report.log.reader import open_for_reading
from matterlog.report.log.snapshot import Snapshot, read_snapshot
from matterlog.schemas.columns import FULL_COLUMNS, REPORT_COLUMNS
from matterlog.schemas.formula_guard import FORMULA_STARTS
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done
from testbed.events import a_view
from tests.report.logs import a_big_log, a_log, apply, extract_of

ID_1: Final = UUID("018f0000-0000-7000-8000-000000000001")
ID_2: Final = UUID("018f0000-0000-7000-8000-000000000002")
ID_3: Final = UUID("018f0000-0000-7000-8000-000000000003")
ON_THE_SECOND: Final = datetime(2026, 11, 22, 14, 5, 9, tzinfo=UTC)
LATER: Final = ON_THE_SECOND + timedelta(microseconds=123456)

GOLDEN_HEADER: Final = b"user_ID,user_name,user_email,user_type,matter_viewed_at,matter_ID,matter_name,matter_type\r\n"
GOLDEN_CSV: Final = (
    GOLDEN_HEADER
    + (
        "u-1,渡邉 Zoë,zoe@example.com,Guest,2026-11-22T14:05:09.000000Z,m-1,Project Heron,demo\r\n"
        'u-2,"O\'Neil, ""Al""",al@example.com,Member,2026-11-22T14:05:09.123456Z,m-2,"Two\r\nlines",live\r\n'
        'u-3,"",e@example.com,Member,2026-11-22T14:05:09.123456Z,m-2,\'=1+1,live\r\n'
    ).encode()
)
GOLDEN_JSON: Final = (
    "[\n"
    '\t{"user_ID":"u-1","user_name":"渡邉 Zoë","user_email":"zoe@example.com","user_type":"Guest",'
    '"matter_viewed_at":"2026-11-22T14:05:09.000000Z","matter_ID":"m-1","matter_name":"Project Heron",'
    '"matter_type":"demo"},\n'
    '\t{"user_ID":"u-2","user_name":"O\'Neil, \\"Al\\"","user_email":"al@example.com","user_type":"Member",'
    '"matter_viewed_at":"2026-11-22T14:05:09.123456Z","matter_ID":"m-2","matter_name":"Two\\r\\nlines",'
    '"matter_type":"live"},\n'
    '\t{"user_ID":"u-3","user_name":"","user_email":"e@example.com","user_type":"Member",'
    '"matter_viewed_at":"2026-11-22T14:05:09.123456Z","matter_ID":"m-2","matter_name":"=1+1","matter_type":"live"}\n'
    "]\n"
).encode()
GOLDEN_FULL_CSV: Final = (
    "user_ID,user_name,user_email,user_type,user_company_ID,user_company_name,user_member_office_ID,"
    "user_member_office_name,user_member_office_location_name,user_member_office_location_iso2,matter_viewed_at,"
    "matter_ID,matter_name,matter_type,event_ID\r\n"
    'u-1,Al,al@example.com,Member,c-1,Fennimore,o-1,"Quay, 2",Zürich,CH,2026-11-22T14:05:09.000000Z,m-1,Heron,live,'
    "018f0000-0000-7000-8000-000000000001\r\n"
    'u-1,Al,al@example.com,Member,,"",,,,,2026-11-22T14:05:09.000000Z,m-1,Heron,live,'
    "018f0000-0000-7000-8000-000000000002\r\n"
).encode()

# One name a row: what breaks careless software, and what Excel would run.
NAMES: Final = (
    *('He said "no"', '"', '""', "'", "''", ",", "a,b", ";", "\\", "\\N", "NULL", "#comment", "0012", "1e5", "true"),
    *("", " leads and trails ", "a\nb", "a\rb", "a\r\nb", "\r", "\n", "\r\n", "a\n", "\ra", "a\tb", "a\u2028b"),
    *("\U0001f469\U0001f3fd\u200d⚖️", "שלום עולם", "\u202eRTL\u202c", "e\u0308", "\ufeffmark", "李", "กำ"),
    *("=" + "x" * 299, "=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"),  # noqa: RUF001
    *("'=1", "''=1", "'x", "'", "x=1", " =1", "=", "-"),
)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    """Three views, stored in another order than the report's."""
    third = a_view(
        event_id=ID_3,
        user_id="u-3",
        user_name="",
        user_email="e@example.com",
        matter_viewed_at=LATER,
        matter_id="m-2",
        matter_name="=1+1",
    )
    second = a_view(
        event_id=ID_2,
        user_id="u-2",
        user_name='O\'Neil, "Al"',
        user_email="al@example.com",
        matter_viewed_at=LATER,
        matter_id="m-2",
        matter_name="Two\r\nlines",
    )
    first = a_view(
        event_id=ID_1,
        user_id="u-1",
        user_name="渡邉 Zoë",
        user_type="Guest",
        matter_viewed_at=ON_THE_SECOND,
        matter_id="m-1",
        matter_type="demo",
    )
    return a_log(tmp_path_factory.mktemp("golden"), third, first, second)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    """One view for each of NAMES, in their order."""
    views = [a_view(user_name=name, matter_viewed_at=_second(place)) for place, name in enumerate(NAMES)]
    return a_log(tmp_path_factory.mktemp("named"), *views)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    """More rows than one chunk of DuckDB's, one read of the pipe, or the pipe itself holds."""
    return a_big_log(tmp_path_factory.mktemp("big"), 200_000)


def _second(number: int) -> datetime:
    return ON_THE_SECOND + timedelta(seconds=number)


def _rows(data: bytes) -> list[dict[str, str]]:
    """Read a CSV extract as Python's own reader does."""
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def _guarded(text: str) -> str:
    """The guard of a text that would not run behind a separator in it, said once more in other words."""
    return f"'{text}" if text.lstrip("'")[:1] in FORMULA_STARTS else text


def test_csv_is_these_bytes(golden: DatabaseFiles) -> None:
    """Eight columns, CR LF, quotes where needed, a guarded formula, ordered by time and then by event ID."""
    assert extract_of(golden, format="csv") == GOLDEN_CSV


def test_json_is_these_bytes(golden: DatabaseFiles) -> None:
    """An array of objects with the same keys in the same order, and nothing guarded."""
    assert extract_of(golden, format="json") == GOLDEN_JSON


def test_the_header_is_the_eight_columns_of_the_contract(golden: DatabaseFiles) -> None:
    """The columns module, the contract's text and both formats agree."""
    assert GOLDEN_HEADER.decode() == ",".join(REPORT_COLUMNS) + "\r\n"
    assert {tuple(row) for row in json.loads(extract_of(golden, format="json"))} == {REPORT_COLUMNS}


def test_full_columns_stand_behind_the_user_type_and_tell_null_from_empty(tmp_path: Path) -> None:
    """NULL is nothing between two commas, the empty text is a pair of quotes; the event's ID comes last."""
    fields = {"user_id": "u-1", "user_name": "Al", "user_email": "al@example.com", "matter_viewed_at": ON_THE_SECOND}
    matter = {"matter_id": "m-1", "matter_name": "Heron"}
    office = {
        "user_company_id": "c-1",
        "user_company_name": "Fennimore",
        "user_member_office_id": "o-1",
        "user_member_office_name": "Quay, 2",
        "user_member_office_location_name": "Zürich",
        "user_member_office_location_iso2": "CH",
    }
    with_office = a_view(event_id=ID_1, **fields, **matter, **office)
    without = a_view(event_id=ID_2, **fields, **matter, user_company_name="")
    paths = a_log(tmp_path, with_office, without)
    assert extract_of(paths, format="csv", columns="full", with_event_id=True) == GOLDEN_FULL_CSV


def test_json_tells_null_from_empty_too(tmp_path: Path) -> None:
    """The key is there in either case."""
    paths = a_log(tmp_path, a_view(user_company_name="", user_name=""))
    (row,) = json.loads(extract_of(paths, format="json", columns="full"))
    assert tuple(row) == FULL_COLUMNS
    assert (row["user_company_ID"], row["user_company_name"], row["user_name"]) == (None, "", "")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
@pytest.mark.parametrize(("written", "expected"), [("csv", GOLDEN_CSV), ("json", GOLDEN_JSON)])
def test_a_host_in_any_zone_writes_the_same_bytes(
    golden: DatabaseFiles, zone: str, written: str, expected: bytes
) -> None:
    """The zone moves neither the instants nor the edges of the days asked for."""
    options = ["--format", written, "--from", "2026-11-22", "--to", "2026-11-22", "--output", "-"]
    assert done("export", "--database", golden.database, *options, settings={"TZ": zone}).out == expected


def test_rows_of_one_instant_stand_in_the_order_of_their_event_ids(tmp_path: Path) -> None:
    """A thousand of them, stored in no order."""
    ids = [UUID(int=(number * 7919 % 1000) << 64 | 0x018F << 112 | 0x7 << 76 | 1 << 63) for number in range(1000)]
    paths = a_log(tmp_path, *(a_view(event_id=each) for each in ids))
    assert [row["event_ID"] for row in _rows(extract_of(paths, format="csv", with_event_id=True))] == sorted(
        str(each) for each in ids
    )


def test_every_name_comes_back_from_raw_csv_as_it_was_stored(named: DatabaseFiles) -> None:
    """Python's own reader reads what RFC 4180 says."""
    data = extract_of(named, format="csv", raw_csv=True)
    assert [row["user_name"] for row in _rows(data)] == list(NAMES)


def test_every_name_comes_back_from_json_as_it_was_stored(named: DatabaseFiles) -> None:
    """JSON is the lossless form: nothing is guarded, whatever raw_csv says."""
    data = extract_of(named, format="json")
    assert [row["user_name"] for row in json.loads(data)] == list(NAMES)
    assert extract_of(named, format="json", raw_csv=True) == data


def test_what_begins_like_a_formula_is_guarded_in_csv(named: DatabaseFiles) -> None:
    """A quote stands in front of it, and in front of the quotes that stand there already."""
    found = [row["user_name"] for row in _rows(extract_of(named, format="csv"))]
    assert found == [
        _guarded(name).replace("\t=", "\t'=").replace("\r=", "\r'=").replace("\n=", "\n'=") for name in NAMES
    ]
    assert found.count("'=1") == 0
    assert found[NAMES.index("''=1")] == "'''=1"


def test_every_column_of_text_is_guarded(tmp_path: Path) -> None:
    """IDs, addresses and offices, not names alone."""
    text = {name for name in FULL_COLUMNS if name not in {"user_type", "matter_type", "matter_viewed_at"}}
    fields = {name.removesuffix("_ID") + "_id" * name.endswith("_ID"): "=1" for name in text}
    view = a_view(**fields | {"user_email": "=1@example.com", "user_member_office_location_iso2": "CH"})
    (row,) = _rows(extract_of(a_log(tmp_path, view), format="csv", columns="full"))
    guarded = {name for name, value in row.items() if value.startswith("'=1")}
    assert guarded == text - {"user_member_office_location_iso2"}


@pytest.mark.parametrize(("written", "expected"), [("csv", GOLDEN_HEADER), ("json", b"[]")])
def test_an_extract_of_nothing_is_still_valid(tmp_path: Path, written: str, expected: bytes) -> None:
    """CSV has its header, JSON its array."""
    data = extract_of(a_log(tmp_path), format=written)
    assert b"".join(data.split()) == b"".join(expected.split())


@pytest.mark.parametrize("written", ["csv", "json"])
def test_one_row_is_one_row(tmp_path: Path, written: str) -> None:
    """A name's line breaks make no second one."""
    data = extract_of(a_log(tmp_path, a_view(matter_name="a\r\nb")), format=written)
    (row,) = _rows(data) if written == "csv" else json.loads(data)
    assert row["matter_name"] == "a\r\nb"


@pytest.mark.parametrize("written", ["csv", "json"])
def test_many_rows_are_all_there_in_order_and_the_statement_about_them_is_true(
    big: DatabaseFiles, written: str
) -> None:
    """Rows, bytes and SHA-256 are those of what left."""
    chunks: list[bytes] = []
    with open_for_reading(big) as connection:
        told = write_extract(connection, ExtractRequest.model_validate({"format": written}), chunks.append)
    data = b"".join(chunks)
    assert (told.rows, told.bytes, told.sha256) == (200_000, len(data), hashlib.sha256(data).hexdigest())
    rows = _rows(data) if written == "csv" else json.loads(data)
    instants = [row["matter_viewed_at"] for row in rows]
    assert len(set(instants)) == len(instants) == 200_000
    assert instants == sorted(instants)


def test_rows_that_exceed_the_memory_limit_are_written_all_the_same(tmp_path: Path) -> None:
    """The sort goes to disk, in a folder that is gone afterwards."""
    paths = a_big_log(tmp_path, 1_500_000)
    spilled: set[Path] = set()
    with open_for_reading(replace(paths, memory_limit="250MB")) as connection:
        connection.execute("SET threads = 2")  # each thread takes its share of the memory
        request = ExtractRequest.model_validate({"format": "csv"})
        told = write_extract(connection, request, lambda _: spilled.update(paths.spill.glob("reader-*/*")))
    assert told.rows == 1_500_000
    assert spilled
    assert list(paths.spill.iterdir()) == []


def test_rows_committed_while_an_extract_is_written_are_not_in_it(tmp_path: Path) -> None:
    """One snapshot, on a cursor of the owner's; the next extract has them."""
    request = ExtractRequest.model_validate({"format": "csv"})
    with Store(a_big_log(tmp_path, 200_000)) as store:
        more = iter([lambda: apply(store, a_view(matter_viewed_at=datetime(2025, 1, 1, tzinfo=UTC)))])
        with store.reader() as connection:
            told = write_extract(connection, request, lambda _: next(more, lambda: None)())
        with store.reader() as connection:
            after = write_extract(connection, request, lambda _: None)
    assert (told.rows, after.rows) == (200_000, 200_001)


def test_the_state_that_is_told_is_that_of_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a batch is committed between the reading of the one and of the others."""
    with Store(a_log(tmp_path, a_view())) as store:

        def read_before_a_batch(connection: duckdb.DuckDBPyConnection) -> Snapshot:
            snapshot = read_snapshot(connection)
            apply(store, a_view())
            return snapshot

        monkeypatch.setattr("matterlog.report.log.snapshot.read_snapshot", read_before_a_batch)
        with store.reader() as connection:
            told = write_extract(connection, ExtractRequest.model_validate({"format": "csv"}), lambda _: None)
    assert (told.rows, told.snapshot.last_arrival) == (1, 1)


def _fails(_: bytes) -> None:
    raise RuntimeError("the sink's own")


def test_a_sink_that_raises_ends_the_extract_with_its_own_error_and_no_file(big: DatabaseFiles, tmp_path: Path) -> None:
    """DuckDB is stopped, and the connection can be used again."""
    request = ExtractRequest.model_validate({"format": "csv"})
    with open_for_reading(big) as connection:
        with pytest.raises(RuntimeError, match="the sink's own"), whole_file(tmp_path / "x.csv"):
            write_extract(connection, request, _fails)
        assert write_extract(connection, request, lambda _: None).rows == 200_000
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "matterlog-extract"]


def _export(connection: duckdb.DuckDBPyConnection, target: Path, then: Callable[[], object]) -> None:
    """Write an extract into a file, and do something else after each of its bytes' chunks."""
    with whole_file(target) as file:

        def write(data: bytes) -> None:
            file.write(data)
            then()

        write_extract(connection, ExtractRequest.model_validate({"format": "json"}), write)


def test_a_database_that_stops_midway_is_an_extract_that_failed_and_leaves_no_file(
    big: DatabaseFiles, tmp_path: Path
) -> None:
    """What was written so far is removed; the reason is on the error, and no more than its class in the text."""
    with open_for_reading(big) as connection, pytest.raises(ExtractFailed) as failure:
        _export(connection, tmp_path / "x.json", connection.interrupt)
    assert str(failure.value) == "the extract failed (InterruptException): no file was left"
    assert isinstance(failure.value.__cause__, duckdb.InterruptException)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_the_extract_begins_ends_it_as_any_other(
    big: DatabaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB writes already, and nobody reads yet: it must not wait for ever."""
    start = threading.Thread.start

    def start_and_be_interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_and_be_interrupted)
    with open_for_reading(big) as connection, pytest.raises(KeyboardInterrupt):
        write_extract(connection, ExtractRequest.model_validate({"format": "csv"}), _fails)
    assert not [thread for thread in threading.enumerate() if thread.name == "matterlog-extract"]


class _FullDisk:
    """A connection whose database cannot read its own file."""

    def execute(self, *_: object) -> None:
        raise duckdb.IOException("Could not read /secret/place: u-1 zoe@example.com")


def test_a_database_that_cannot_begin_is_an_extract_that_failed_and_quotes_nothing() -> None:
    """DuckDB's own text may hold a value, so it stays on __cause__."""
    connection = cast("duckdb.DuckDBPyConnection", _FullDisk())
    with pytest.raises(ExtractFailed, match=r"^the extract failed \(IOException\): no file was left$"):
        write_extract(connection, ExtractRequest.model_validate({"format": "csv"}), lambda _: None)


def test_an_export_that_fails_leaves_the_file_that_was_there(big: DatabaseFiles, tmp_path: Path) -> None:
    """The old extract keeps its bytes."""
    (tmp_path / "x.json").write_bytes(b"old")
    with open_for_reading(big) as connection, pytest.raises(ExtractFailed):
        _export(connection, tmp_path / "x.json", connection.interrupt)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x.json", b"old")]


def test_while_an_extract_is_written_one_hidden_file_stands_beside_its_place(
    big: DatabaseFiles, tmp_path: Path
) -> None:
    """Nobody meets half a file under the final name, and DuckDB writes no file of its own."""
    seen: set[str] = set()
    with open_for_reading(big) as connection:
        _export(connection, tmp_path / "x.json", lambda: seen.update(path.name for path in tmp_path.iterdir()))
    (partial,) = seen
    assert partial.startswith(".x.json.")
    assert partial.endswith(".partial")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_file_is_its_users_alone_while_it_is_written_and_when_it_is_whole(tmp_path: Path) -> None:
    """Whatever the umask is, and whoever could read the file that stood there."""
    (tmp_path / "x.csv").touch()
    (tmp_path / "x.csv").chmod(0o644)
    before = os.umask(0)
    try:
        with whole_file(tmp_path / "x.csv") as file:
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.csv").stat().st_mode) == 0o600


def test_what_a_killed_process_left_of_a_file_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    """Two processes may write the same file: the second to end wins."""
    left = tmp_path / ".x.csv.0a1b2c3d.partial"
    left.write_bytes(b"half")
    other = tmp_path / ".y.csv.0a1b2c3d.partial"
    other.write_bytes(b"half")
    with whole_file(tmp_path / "x.csv") as first:
        assert not left.exists()
        with whole_file(tmp_path / "x.csv") as second:
            second.write(b"second")
        first.write(b"first")
    assert {path.name for path in tmp_path.iterdir()} == {"x.csv", other.name}
    assert (tmp_path / "x.csv").read_bytes() == b"first"


def test_two_files_get_their_names_one_after_the_other_when_both_are_whole(tmp_path: Path) -> None:
    """Or neither does."""
    first, second = tmp_path / "x.csv", tmp_path / "x.json"
    with pytest.raises(RuntimeError), whole_files(first, second):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole_files(first, second) as files:
        for file in files:
            file.write(b"x")
        assert not first.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"x.csv", "x.json"}


def test_files_are_on_the_disk_before_any_of_them_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every byte; and a name is on the disk before the next file gets its own."""
    steps: list[int | str] = []
    replace = Path.replace

    def synced(handle: int) -> None:
        status = os.fstat(handle)
        steps.append(status.st_size if stat.S_ISREG(status.st_mode) else "the folder")

    def named(partial: Path, path: Path) -> Path:
        steps.append(path.name)
        return replace(partial, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    _write_both(tmp_path / "x.csv", tmp_path / "x.json")
    assert steps == [3, 3, "x.csv", "the folder", "x.json", "the folder"]


def test_a_second_file_that_cannot_get_its_name_is_told_with_the_first_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a crash between the two leaves them: the first whole, the second as it was."""
    first, second = tmp_path / "x.csv", tmp_path / "x.json"
    second.write_bytes(b"old")
    replace = Path.replace

    def only_the_first(partial: Path, path: Path) -> Path:
        if path == second:
            raise OSError(5, "Input/output error")
        return replace(partial, path)

    monkeypatch.setattr(Path, "replace", only_the_first)
    with pytest.raises(ExtractFailed, match=r"x\.json cannot be written .*x\.csv is complete, without this file$"):
        _write_both(first, second)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x.csv": b"new", "x.json": b"old"}


def _write_both(*paths: Path) -> None:
    with whole_files(*paths) as files:
        for file in files:
            file.write(b"new")


def test_the_file_that_cannot_be_made_is_the_one_that_is_named(tmp_path: Path) -> None:
    """The second's folder is missing; the first leaves nothing."""
    with pytest.raises(ExtractFailed, match=r"missing/m\.json cannot be written \(No such file or directory\)"):
        _write_both(tmp_path / "x.csv", tmp_path / "missing" / "m.json")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_a_file_may_have_can_be_written(tmp_path: Path) -> None:
    """255 bytes, which leave no room for the partial file's ending."""
    name = "ж" * 125 + ".csv"
    with whole_file(tmp_path / name) as file:
        file.write(b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("place", [".", "/", "", "/dev/null"])
def test_what_is_no_file_is_refused_before_a_byte_is_written(place: str) -> None:
    """A folder or a device is never replaced."""
    with pytest.raises(ExtractFailed, match="exists and is not a file"), whole_file(Path(place)):
        pytest.fail("the block ran")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("sink_error", [OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe")])
def test_a_full_disk_is_told_as_such_and_leaves_nothing(tmp_path: Path, sink_error: OSError) -> None:
    """The operating system's words, and the file's name."""
    target = tmp_path / "x.csv"
    with pytest.raises(ExtractFailed, match=f"x.csv cannot be written .{sink_error.strerror}"), whole_file(target):
        raise sink_error
    assert list(tmp_path.iterdir()) == []


def _ids(paths: DatabaseFiles, **filter_: Any) -> list[int]:
    """The last figures of the event IDs that a filter leaves."""
    rows = _rows(extract_of(paths, format="csv", with_event_id=True, filter=filter_))
    return [int(row["event_ID"][-4:]) for row in rows]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    """Six views, a second apart: users a, b, c; matters x, y; both types of each."""
    kinds = [
        ("a", "Guest", "x", "demo"),
        ("b", "Member", "x", "demo"),
        ("a", "Guest", "y", "live"),
        ("c", "Member", "y", "live"),
        ("b", "Member", "y", "live"),
        ("=c", "Guest", "x'; DROP", "live"),
    ]
    views = [
        a_view(
            event_id=UUID(f"018f0000-0000-7000-8000-00000000000{place}"),
            user_id=user,
            user_type=user_type,
            user_company_id=None if user == "a" else f"c-{user}",
            matter_id=matter,
            matter_type=matter_type,
            matter_viewed_at=_second(place),
        )
        for place, (user, user_type, matter, matter_type) in enumerate(kinds, 1)
    ]
    return a_log(tmp_path_factory.mktemp("mixed"), *views)


@pytest.mark.parametrize(
    ("filter_", "left"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"users": ["a"]}, [1, 3]),
        ({"users": ["a", "c"]}, [1, 3, 4]),
        ({"users": ["A"]}, []),
        ({"users": ["=c"]}, [6]),
        ({"matters": ["y"]}, [3, 4, 5]),
        ({"matters": ["x", "y"]}, [1, 2, 3, 4, 5]),
        ({"matters": ["x'; DROP"]}, [6]),
        ({"user_types": ["Guest"]}, [1, 3, 6]),
        ({"user_types": ["Guest", "Member"]}, [1, 2, 3, 4, 5, 6]),
        ({"matter_types": ["demo"]}, [1, 2]),
        ({"companies": ["c-b"]}, [2, 5]),
        ({"companies": ["c-b", "c-c"]}, [2, 4, 5]),
        ({"companies": ["c-b"], "matters": ["y"]}, [5]),
        ({"since": _second(3)}, [3, 4, 5, 6]),
        ({"until": _second(3)}, [1, 2]),
        ({"since": _second(2), "until": _second(5)}, [2, 3, 4]),
        ({"since": _second(4).astimezone(timezone(timedelta(hours=5, minutes=45)))}, [4, 5, 6]),
        ({"users": ["a", "b"], "matters": ["y"]}, [3, 5]),
        ({"user_types": ["Member"], "matter_types": ["live"]}, [4, 5]),
        (
            {
                "users": ["b", "a"],
                "matters": ["x", "y"],
                "user_types": ["Member"],
                "matter_types": ["live"],
                "since": _second(1),
                "until": _second(6),
            },
            [5],
        ),
    ],
)
def test_a_filter_leaves_exactly_these_rows(mixed: DatabaseFiles, filter_: dict[str, Any], left: list[int]) -> None:
    """Values of one field mean "any of", fields mean "and"."""
    assert _ids(mixed, **filter_) == left


def test_the_last_microsecond_of_the_end_day_is_in_and_the_first_of_the_next_is_out(tmp_path: Path) -> None:
    """Two days asked for are forty-eight hours, both ends of them."""
    first, last = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC)
    tick = timedelta(microseconds=1)
    views = [a_view(matter_viewed_at=instant) for instant in (first - tick, first, last, last + tick)]
    days = Filter.of(now=LATER, first_day="2026-11-21", last_day="2026-11-22")
    found = _rows(extract_of(a_log(tmp_path, *views), format="csv", filter=days))
    assert [row["matter_viewed_at"] for row in found] == ["2026-11-21T00:00:00.000000Z", "2026-11-22T23:59:59.999999Z"]
