"""A purge while an extract is written: no file that is handed out holds the matter."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.report.errors import ExtractFailed, RegisterFailed
from matterlog.report.extracts.copying import Sink
from matterlog.report.extracts.extracts import Extract, write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import MAX_TRIES, Recipient, finish_extract, hand_out
from matterlog.report.handover.register import Channel, Register, RegisterEntry
from matterlog.report.log.filters import Filter
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from tests.report.logs import a_log, apply

RECIPIENT: Final = Recipient(made_by="analyst", how=Channel.EXPORT, name="/reports/x.csv")
NOTHING: Final[Callable[[], None]] = lambda: None  # noqa: E731 - a value


class MeddledLog:
    """The log as hand_out sees it, with something that happens after each extract's bytes."""

    def __init__(self, store: Store, register: Register, *happenings: Callable[[], object]) -> None:
        self._store = store
        self._register = register
        self._happenings = iter(happenings)
        self.extracts: list[Extract] = []

    def extract(self, request: ExtractRequest, sink: Sink) -> Extract:
        with self._store.reader() as connection:
            self.extracts.append(write_extract(connection, request, sink))
        next(self._happenings, NOTHING)()
        return self.extracts[-1]

    def finish(self, entry: RegisterEntry) -> tuple[str, ...]:
        with self._store.reader() as connection:
            return finish_extract(connection, self._register, entry)


def handed_out(
    paths: DatabaseFiles, *happenings: Callable[[Store], object], **filter_: Any
) -> tuple[MeddledLog, bytes, RegisterEntry]:
    """Hand out an extract while these things happen to the log; return what came of it."""
    file = io.BytesIO()
    with Store(paths) as store:
        bound = [lambda happening=happening: happening(store) for happening in happenings]
        log = MeddledLog(store, Register(paths.extracts), *bound)
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


def test_a_matter_that_is_purged_meanwhile_makes_the_extract_start_over(two: DatabaseFiles) -> None:
    """The file holds what the second snapshot has, and the register only that."""
    log, data, entry = handed_out(two, deletes("m-1"))
    assert [extract.rows for extract in log.extracts] == [2, 1]
    assert b"m-1" not in data
    assert b"m-2" in data
    assert len(data) == entry.bytes
    assert Register(two.extracts).extracts() == [entry]


@pytest.mark.parametrize(
    ("happening", "filter_"),
    [
        (deletes("m-1"), {"matters": ("m-2",)}),  # the filter leaves it out
        (deletes("m-9"), {}),  # it had no views
        (views("m-3"), {}),  # nothing was purged
    ],
)
def test_what_the_extract_cannot_hold_lets_it_stand(
    two: DatabaseFiles, happening: Callable[[Store], object], filter_: dict[str, Any]
) -> None:
    """One snapshot is enough."""
    log, _, entry = handed_out(two, happening, **filter_)
    assert len(log.extracts) == 1
    assert Register(two.extracts).extracts() == [entry]


def test_a_matter_that_was_purged_before_is_no_reason_to_start_over(two: DatabaseFiles) -> None:
    """Its number is in the snapshot already."""
    with Store(two) as store:
        deletes("m-1")(store)
    log, data, _ = handed_out(two)
    assert len(log.extracts) == 1
    assert b"m-1" not in data


def test_purges_without_end_are_an_error_and_leave_no_entry(tmp_path: Path) -> None:
    """After so many tries, with what to do."""
    matters = [f"m-{number}" for number in range(MAX_TRIES)]
    paths = a_log(tmp_path, *(a_view(matter_id=matter) for matter in matters))
    with pytest.raises(ExtractFailed, match=f"while the extract was written, {MAX_TRIES} times in a row"):
        handed_out(paths, *(deletes(matter) for matter in matters))
    assert Register(paths.extracts).extracts() == []


def test_the_entry_is_there_before_the_log_is_asked(two: DatabaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a purge which comes after the answer meets it."""
    seen: list[int] = []

    def look(connection: duckdb.DuckDBPyConnection, arrival: int) -> tuple[()]:  # noqa: ARG001 - as the real one
        seen.append(len(Register(two.extracts).extracts()))
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
        store._instance.connection.execute("DELETE FROM log")
        store._instance.connection.execute("INSERT INTO log VALUES (uuid(), 1)")

    with pytest.raises(ExtractFailed, match="the database was replaced while the extract was written"):
        handed_out(two, replace)
    assert Register(two.extracts).extracts() == []
