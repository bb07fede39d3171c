"""A purge while an extract is written: the file does not hold the matter, or the matter's receipt lists the file."""

import csv
import hashlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import duckdb
import pytest

from matterlog.app.owner.registered_extracts import registered_extracts
from matterlog.consumers.database.store import Store
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import ExtractFailed, RegisterFailed
from matterlog.report.extracts.copying import Sink
from matterlog.report.extracts.extracts import Extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import Recipient, hand_out
from matterlog.report.handover.register import Channel, FileRegister, Register, RegisterEntry
from matterlog.report.log.filters import Filter
from matterlog.report.log.reader import open_for_reading
from matterlog.report.purges.receipts import read_receipts
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from tests.report.logs import StoreSource, a_log, apply

RECIPIENT: Final = Recipient(made_by="analyst", how=Channel.EXPORT, name="/reports/x.csv")
NOTHING: Final[Callable[[], None]] = lambda: None  # noqa: E731 - a value


class MeddledLog(StoreSource):
    """The log as hand_out sees it, with something that happens in each pass, at its first byte or after its last."""

    def __init__(self, store: Store, register: Register, *happenings: Callable[[], object], early: bool) -> None:
        super().__init__(store, register)
        self._happenings = iter(happenings)
        self._early = early
        self.extracts: list[Extract] = []

    def extract(
        self, request: ExtractRequest | EngagementFileRequest, sink: Sink, begun: RegisterEntry | None = None
    ) -> Extract:
        happening = iter([next(self._happenings, NOTHING)])

        def meddled(data: bytes) -> None:
            if self._early:
                next(happening, NOTHING)()
            sink(data)

        self.extracts.append(super().extract(request, meddled, begun))
        next(happening, NOTHING)()
        return self.extracts[-1]


def handed_out(
    paths: DatabaseFiles, *happenings: Callable[[Store], object], early: bool = False, **filter_: Any
) -> tuple[MeddledLog, bytes, RegisterEntry]:
    """Hand out an extract while these things happen to the log; return what came of it."""
    file = io.BytesIO()
    with Store(paths, extracts=registered_extracts(paths)) as store:
        bound = [lambda happening=happening: happening(store) for happening in happenings]
        log = MeddledLog(store, FileRegister(paths.extracts), *bound, early=early)
        request = ExtractRequest.model_validate({"format": "csv", "filter": Filter(**filter_)})
        _, entry = hand_out(log, request, RECIPIENT, file)
    return log, file.getvalue(), entry


def deletes(matter: str) -> Callable[[Store], object]:
    """The deletion of a matter."""
    return lambda store: apply(store, a_deletion(matter_id=matter))


def views(matter: str) -> Callable[[Store], object]:
    """A view of a matter."""
    return lambda store: apply(store, a_view(matter_id=matter))


@pytest.fixture
def two(tmp_path: Path) -> DatabaseFiles:
    """A log with one view of each of two matters."""
    return a_log(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-2"))


def recalled(paths: DatabaseFiles, matter: str) -> dict[UUID, int]:
    """The rows of each file in a matter's recall list, which must be complete."""
    with open_for_reading(paths) as connection:
        [receipt] = read_receipts(connection, matter)
    assert receipt.recall_complete
    return {each.extract_id: each.rows for each in receipt.recall}


@pytest.mark.parametrize("early", [True, False])
def test_a_matter_that_is_purged_meanwhile_makes_the_extract_start_over(two: DatabaseFiles, *, early: bool) -> None:
    """The file holds what the second snapshot has, and the register only that."""
    log, data, entry = handed_out(two, deletes("m-1"), early=early)
    assert [extract.rows for extract in log.extracts] == [2, 1]
    assert b"m-1" not in data
    assert b"m-2" in data
    assert len(data) == entry.bytes
    assert FileRegister(two.extracts).extracts() == [entry]


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("happening", "filter_"),
    [
        (deletes("m-1"), {"matters": ("m-2",)}),  # the filter leaves it out
        (deletes("m-9"), {}),  # it had no views
        (views("m-3"), {}),  # nothing was purged
    ],
)
def test_what_the_extract_cannot_hold_lets_it_stand(
    two: DatabaseFiles, happening: Callable[[Store], object], filter_: dict[str, Any], *, early: bool
) -> None:
    """One snapshot is enough."""
    log, _, entry = handed_out(two, happening, early=early, **filter_)
    assert len(log.extracts) == 1
    assert FileRegister(two.extracts).extracts() == [entry]


def test_a_matter_that_was_purged_before_is_no_reason_to_start_over(two: DatabaseFiles) -> None:
    """Its number is in the snapshot already."""
    with Store(two) as store:
        deletes("m-1")(store)
    log, data, _ = handed_out(two)
    assert len(log.extracts) == 1
    assert b"m-1" not in data


@pytest.mark.parametrize("filter_", [{"users": ("u-9",)}, {"since": datetime(2030, 1, 1, tzinfo=UTC)}])
def test_what_the_extract_does_not_hold_lets_it_stand(two: DatabaseFiles, filter_: dict[str, Any]) -> None:
    """Its filter allows the matter; no row of the matter passes it."""
    log, _, entry = handed_out(two, deletes("m-1"), early=True, **filter_)
    assert len(log.extracts) == 1
    assert FileRegister(two.extracts).extracts() == [entry]
    assert recalled(two, "m-1") == {}


@pytest.mark.parametrize("early", [True, False])
def test_an_extract_ends_after_its_second_pass_and_is_recalled_for_what_was_purged_in_it(
    tmp_path: Path, *, early: bool
) -> None:
    """However many matters are deleted: each file is named by the matters that it holds, and by no other."""
    paths = a_log(tmp_path, *(a_view(matter_id=f"m-{number}") for number in range(4)))
    log, data, entry = handed_out(paths, deletes("m-0"), deletes("m-1"), deletes("m-2"), early=early)
    assert [extract.rows for extract in log.extracts] == [4, 3]
    assert [f"m-{number}".encode() in data for number in range(4)] == [False, True, True, True]
    assert FileRegister(paths.extracts).extracts() == [entry]
    assert (recalled(paths, "m-0"), recalled(paths, "m-1")) == ({}, {entry.extract_id: 1})
    assert entry.sha256 == hashlib.sha256(data).hexdigest()


def test_a_matter_that_is_purged_as_the_entry_is_made_is_not_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The purge looked into the register just before: a newer state is read."""
    paths = a_log(tmp_path, *(a_view(matter_id=f"m-{number}") for number in range(3)))
    record, purged = Register.record, iter(["m-1"])

    def late(register: Register, entry: RegisterEntry) -> None:
        if not entry.sha256 and (matter := next(purged, None)) is not None:
            deletes(matter)(stores[0])
        record(register, entry)

    stores: list[Store] = []
    monkeypatch.setattr(Register, "record", late)

    def delete(store: Store) -> None:
        stores.append(store)
        deletes("m-0")(store)

    _, data, entry = handed_out(paths, delete)
    assert [f"m-{number}".encode() in data for number in range(3)] == [False, False, True]
    assert recalled(paths, "m-1") == {}
    assert entry.rows == 1


def test_a_matter_that_a_newer_snapshot_no_longer_has_does_not_list_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It met the entry of the snapshot that was given up, under an ID that never appears."""
    paths = a_log(tmp_path, *(a_view(matter_id=f"m-{number}") for number in range(4)))
    record, stores, times = Register.record, list[Store](), iter([True])

    def amid(register: Register, entry: RegisterEntry) -> None:
        is_first = not entry.sha256 and next(times, False)
        if is_first:
            deletes("m-1")(stores[0])
        record(register, entry)
        if is_first:
            deletes("m-2")(stores[0])

    monkeypatch.setattr(Register, "record", amid)

    def delete(store: Store) -> None:
        stores.append(store)
        deletes("m-0")(store)

    _, data, entry = handed_out(paths, delete)
    assert [f"m-{number}".encode() in data for number in range(4)] == [False, False, False, True]
    assert FileRegister(paths.extracts).extracts() == [entry]
    assert entry.extract_id not in {**recalled(paths, "m-1"), **recalled(paths, "m-2")}
    assert len(recalled(paths, "m-2")) == 1


def test_the_entry_is_there_before_the_log_is_asked(two: DatabaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a purge which comes after the answer meets it."""
    seen: list[int] = []

    def look(connection: duckdb.DuckDBPyConnection, arrival: int) -> tuple[()]:  # noqa: ARG001 - as the real one
        seen.append(len(FileRegister(two.extracts).extracts()))
        return ()

    monkeypatch.setattr("matterlog.report.handover.handing_out.purges_since", look)
    handed_out(two)
    assert seen == [1]


def test_an_extract_that_cannot_be_recorded_is_not_handed_out(two: DatabaseFiles) -> None:
    """The register is part of the promise."""
    two.extracts.mkdir()
    with pytest.raises(RegisterFailed):
        handed_out(two)


def test_another_log_under_the_same_name_is_an_error(two: DatabaseFiles) -> None:
    """Numbers of transactions do not compare then, and nothing stays in the register."""

    def replace(store: Store) -> None:
        store._connection.execute("DELETE FROM log")
        store._connection.execute("INSERT INTO log VALUES (uuid(), 1)")

    with pytest.raises(ExtractFailed, match="the database was replaced while the extract was written"):
        handed_out(two, replace)
    assert FileRegister(two.extracts).extracts() == []


class SlowSource(StoreSource):
    """The log as hand_out sees it, on a disk that is so slow that ten matters are deleted while it writes."""

    def __init__(self, store: Store, register: Register, deleted: list[str]) -> None:
        super().__init__(store, register)
        self._deleted = deleted

    def extract(
        self, request: ExtractRequest | EngagementFileRequest, sink: Sink, begun: RegisterEntry | None = None
    ) -> Extract:
        def slow(data: bytes) -> None:
            wanted = len(self._deleted) + 10
            while len(self._deleted) < wanted:
                time.sleep(0.01)
            sink(data)

        return super().extract(request, slow, begun)


def test_an_extract_ends_while_matters_are_deleted_without_a_pause(tmp_path: Path) -> None:
    """Each deleted matter is in the file and has it in its recall list, with its rows, or neither."""
    files = a_log(tmp_path, *(a_view(matter_id=f"m-{number % 500}") for number in range(1500)))
    deleted, stop, file = list[str](), threading.Event(), io.BytesIO()

    def delete_all(store: Store) -> None:
        for number in range(500):
            if stop.wait(0.02):
                return
            deletes(f"m-{number}")(store)
            deleted.append(f"m-{number}")

    with Store(files, extracts=registered_extracts(files)) as store:
        deletion = threading.Thread(target=delete_all, args=(store,))
        deletion.start()
        try:
            request = ExtractRequest.model_validate({"format": "csv"})
            _, entry = hand_out(SlowSource(store, FileRegister(files.extracts), deleted), request, RECIPIENT, file)
        finally:
            stop.set()
            deletion.join()
    rows = Counter(row["matter_ID"] for row in csv.DictReader(io.StringIO(file.getvalue().decode())))
    assert len(deleted) >= 20
    listed = {matter: recalled(files, matter).get(entry.extract_id, 0) for matter in deleted}
    assert listed == {matter: rows[matter] for matter in deleted}
    assert sum(rows.values()) == entry.rows
