"""`matterlog dead-letters`: looked at, tried again and removed, with a running owner and without."""

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import DeadLettersQuestion, StatusQuestion
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import Move, Position, Record, Reject
from matterlog.schemas import DecodeErrorKind, Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned, run
from testbed.events import a_view, record_of
from tests.report.logs import a_log

POISON: Final = Record("matter-views", 3, 7, 1_700_000_000_000, b"k\xff", (("ce_id", b"1"), ("x", None)), b"no event")
# Good, but refused when it came: as by a version that did not know its schema.
MISUNDERSTOOD: Final = record_of(a_view(user_id="u-7"), 3, 8)
POISON_SHOWN: Final = {
    "place": "matter-views:3:7",
    "timestamp_ms": 1_700_000_000_000,
    "key": base64.b64encode(b"k\xff").decode(),
    "headers": [["ce_id", base64.b64encode(b"1").decode()], ["x", None]],
    "payload": base64.b64encode(b"no event").decode(),
    "error_kind": "unknown-framing",
    "matter_ID": None,
}


@pytest.fixture(params=["file", "owner"])
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DatabaseFiles]:
    """A log with the two dead letters, while a process owns it or nobody does."""
    paths = DatabaseFiles(tmp_path / "log.duckdb")
    refused = Reject(MISUNDERSTOOD, DecodeErrorKind.UNKNOWN_SCHEMA, "not known [then]")
    both = replace(decode_records([POISON], Topics()), records=2)
    with Store(paths) as store:
        move = Move(topic="matter-views", partition=3, began=None, ends=Position(next_offset=9))
        store.apply(replace(both, rejects=(*both.rejects, refused)), [move])
    with owned(paths) if request.param == "owner" else contextlib.nullcontext():
        yield paths


def left(log: DatabaseFiles) -> tuple[list[str], int]:
    """The places of the dead letters that there are, and how many rows."""
    with open_log(log) as found:
        return [letter["place"] for letter in found.ask(DeadLettersQuestion())], found.ask(StatusQuestion()).rows


def test_dead_letters_are_listed_by_place_and_shown_whole(log: DatabaseFiles) -> None:
    """The place can be copied from the list, however narrow the terminal."""
    where = f"--database={log.database}"
    listed = done("dead-letters", "list", where, settings={"COLUMNS": "50"}).text
    assert "matter-views:3:7" in listed
    assert "matter-views:3:8" in listed
    assert "[then]" in listed
    shown = json.loads(done("dead-letters", "show", "matter-views:3:7", where).out)
    assert shown | POISON_SHOWN == shown
    assert shown in json.loads(done("dead-letters", "list", "--json", where).out)


def test_what_can_be_understood_now_becomes_a_row_and_the_rest_is_kept(log: DatabaseFiles) -> None:
    """Two records, each counted once."""
    ended = done("dead-letters", "retry", "--all", f"--database={log.database}")
    assert ended.text.startswith("2 records: 1 views stored, 0 duplicates, 0 refused")
    assert "1 dead letters" in ended.text
    assert left(log) == (["matter-views:3:7"], 1)


def test_one_is_discarded_and_the_other_stays(log: DatabaseFiles) -> None:
    """By its place, given twice; then all of the rest."""
    where = f"--database={log.database}"
    ended = done("dead-letters", "discard", "matter-views:3:7", "matter-views:3:7", where)
    assert ended.text == "1 dead letters discarded\n"
    assert left(log) == (["matter-views:3:8"], 0)
    assert done("dead-letters", "discard", "--all", where).text == "1 dead letters discarded\n"
    assert left(log) == ([], 0)


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_a_place_where_none_stands_changes_nothing(log: DatabaseFiles, command: str) -> None:
    """Not even for the other place that was named."""
    ended = run("dead-letters", command, "matter-views:3:8", "matter-views:3:99", f"--database={log.database}")
    assert (ended.code, ended.out) == (1, b"")
    assert ended.err.splitlines()[-1] == "matterlog: there is no dead letter at matter-views:3:99"
    assert left(log) == (["matter-views:3:7", "matter-views:3:8"], 0)


def test_a_place_where_none_stands_cannot_be_shown(tmp_path: Path) -> None:
    """It is wrong use: list says which there are."""
    ended = run("dead-letters", "show", "matter-views:3:99", "--database", a_log(tmp_path).database)
    assert ended.code == 2
    assert ended.err == "matterlog: there is no dead letter at matter-views:3:99\n"
