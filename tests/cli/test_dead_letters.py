"""`matterlog dead-letters`: looked at, tried again and removed, with a running owner and without."""

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from matterlog.consumers.decode import decode_records
from matterlog.consumers.records import Decoded, Move, Position, Record, Reject
from matterlog.consumers.store import Store
from matterlog.schemas import DecodeErrorKind, Topics
from matterlog.schemas.database_files import DatabaseFiles
from tests.cli.command import done, owned, run
from tests.events import a_view, record_of

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


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """A log with the two dead letters."""
    found = DatabaseFiles(tmp_path / "log.duckdb")
    decoded: Decoded = decode_records([POISON], Topics())
    with Store(found) as store:
        store.apply(decoded, [Move(topic="matter-views", partition=3, began=None, ends=Position(next_offset=8))])
        good = decode_records([], Topics())
        refused = (Reject(MISUNDERSTOOD, DecodeErrorKind.UNKNOWN_SCHEMA, "not known [then]"),)
        rejected = type(good)(
            **{name: getattr(good, name) for name in good.__slots__} | {"records": 1, "rejects": refused}
        )
        store.apply(rejected, [Move(topic="matter-views", partition=3, began=8, ends=Position(next_offset=9))])
    return found


@pytest.fixture(params=["file", "owner"])
def log(paths: DatabaseFiles, request: pytest.FixtureRequest) -> Iterator[str]:
    """The option that names the log, while a process owns it or nobody does."""
    with owned(paths) if request.param == "owner" else contextlib.nullcontext():
        yield f"--database={paths.database}"


def places(log: str) -> list[str]:
    return [letter["place"] for letter in json.loads(done("dead-letters", "list", "--json", log).out)]


def test_dead_letters_are_listed_by_place_and_shown_whole(log: str) -> None:
    """The place can be copied from the list, however narrow the terminal."""
    listed = done("dead-letters", "list", log, settings={"COLUMNS": "50"}).text
    assert "matter-views:3:7" in listed
    assert "matter-views:3:8" in listed
    shown = json.loads(done("dead-letters", "show", "matter-views:3:7", log).out)
    assert shown | POISON_SHOWN == shown
    assert "[then]" in done("dead-letters", "list", log, settings={"COLUMNS": "200"}).text


def test_what_can_be_understood_now_becomes_a_row_and_the_rest_is_kept(log: str, paths: DatabaseFiles) -> None:
    """Two records, each counted once."""
    ended = done("dead-letters", "retry", "--all", log)
    assert ended.text.startswith("2 records: 1 views stored, 0 duplicates, 0 refused")
    assert "1 dead letters" in ended.text
    assert places(log) == ["matter-views:3:7"]
    assert json.loads(done("status", "--json", log).out)["rows"] == 1


def test_one_is_discarded_and_the_other_stays(log: str) -> None:
    """By its place, given twice; then all of the rest."""
    ended = done("dead-letters", "discard", "matter-views:3:7", "matter-views:3:7", log)
    assert ended.text == "1 dead letters discarded\n"
    assert places(log) == ["matter-views:3:8"]
    assert done("dead-letters", "discard", "--all", log).text == "1 dead letters discarded\n"
    assert places(log) == []


@pytest.mark.parametrize("command", ["retry", "discard"])
def test_a_place_where_none_stands_changes_nothing(log: str, command: str) -> None:
    """Not even for the other place that was named."""
    ended = run("dead-letters", command, "matter-views:3:7", "matter-views:3:99", log)
    assert (ended.code, ended.out) == (1, b"")
    assert ended.err.splitlines()[-1] == "matterlog: no dead letter stands at matter-views:3:99"
    assert places(log) == ["matter-views:3:7", "matter-views:3:8"]


def test_a_place_where_none_stands_cannot_be_shown(paths: DatabaseFiles) -> None:
    """It is wrong use: list says which there are."""
    ended = run("dead-letters", "show", "matter-views:3:99", "--database", paths.database)
    assert ended.code == 2
    assert ended.err == "matterlog: no dead letter stands at matter-views:3:99\n"
