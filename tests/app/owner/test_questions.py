"""A question is one class: asked through the owner or on the file, it is answered alike."""

import contextlib
import io
import json
from collections.abc import Iterator
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from matterlog.app.errors import WrongUse
from matterlog.app.owner.access import ask_owner, open_log
from matterlog.app.owner.channel import MAX_QUESTION_BYTES, socket_address
from matterlog.app.owner.question import LogReader, Owner, OwnerQuestion, ReaderQuestion, question_of
from matterlog.app.owner.questions import ExtractQuestion, RetryQuestion, StatusQuestion
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.store import Store
from matterlog.report.errors import InvalidFilter
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import owned
from testbed.events import a_view
from tests.report.logs import a_log


class Tally(BaseModel):
    """An answer that JSON alone would not bring back as it was."""

    rows: int
    matters: tuple[str, ...]
    log_id: UUID


class TallyQuestion(ReaderQuestion[list[Tally]]):
    """Count the rows; write so many lines, and an empty one before each."""

    ask: Literal["tally"] = "tally"
    lines: int = 0

    def read(self, log: LogReader) -> list[Tally]:
        if self.lines < 0:
            raise InvalidFilter("no number of lines")
        for number in range(self.lines):
            log.sink(b"")
            log.sink(b"%d\n" % number)
        found = log.connection.execute("SELECT count(*), list(matter_id ORDER BY 1) FROM activity").fetchall()
        ((log_id,),) = log.connection.execute("SELECT log_id FROM log").fetchall()
        return [Tally(rows=rows, matters=matters or (), log_id=log_id) for rows, matters in found]


class EmptyQuestion(OwnerQuestion[dict[str, int]]):
    """Remove every row."""

    ask: Literal["empty"] = "empty"

    def carry_out(self, owner: Owner) -> dict[str, int]:
        with owner.store.transaction() as transaction:
            ((rows,),) = transaction.connection.execute("DELETE FROM activity").fetchall()
        return {"removed": rows}


# What a command line of the first version asks, and what it reads in the last word of the answer.
ASKED: Final = {
    '{"ask":"extract","request":{"format":"csv"}}': {"rows", "bytes", "sha256", "snapshot", "arrived_after"},
    '{"ask":"count","request":{"format":"csv"}}': 2,
    '{"ask":"engagement","request":{"analysis":"users","now":"2026-03-01T00:00:00Z"}}': {"facts", "snapshot"},
    '{"ask":"list","places":null}': [],
    '{"ask":"retry","places":null}': set(BatchResult.__dataclass_fields__),
    '{"ask":"discard","places":null}': {"discarded"},
    '{"ask":"receipts","matter":null}': [],
    '{"ask":"verify","matter":"m-1","texts":[],"also":[]}': {"found", "unseen", "files"},
}


@pytest.fixture(params=["file", "owner"])
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[DatabaseFiles]:
    """A log of two rows, while a process owns it or nobody does."""
    paths = a_log(tmp_path, a_view(matter_id="m-1"), a_view(matter_id="m-2"))
    with owned(paths) if request.param == "owner" else contextlib.nullcontext():
        yield paths


def test_a_new_question_is_answered_both_ways(log: DatabaseFiles) -> None:
    """Its bytes are in the sink, its answer has its own type."""
    written = io.BytesIO()
    with open_log(log) as way:
        (tally,) = way.ask(TallyQuestion(lines=3), written.write)
    assert written.getvalue() == b"0\n1\n2\n"
    assert (tally.rows, tally.matters) == (2, ("m-1", "m-2"))
    assert isinstance(tally.log_id, UUID)


def test_a_new_question_for_the_owner_is_carried_out_both_ways(log: DatabaseFiles) -> None:
    """And whoever owned the database for a moment gives it up again."""
    assert ask_owner(log, EmptyQuestion()) == {"removed": 2}
    assert ask_owner(log, EmptyQuestion()) == {"removed": 0}
    with open_log(log) as way:
        assert way.ask(StatusQuestion()).rows == 0


def test_what_makes_no_sense_is_wrong_use_both_ways(log: DatabaseFiles) -> None:
    """By the socket too the error says whose fault it is."""
    with open_log(log) as way, pytest.raises((WrongUse, InvalidFilter), match=r"^no number of lines$"):
        way.ask(TallyQuestion(lines=-1))


def test_no_reader_is_answered_while_the_log_is_recovered(tmp_path: Path) -> None:
    """Whatever the question: it may show a matter that was deleted."""
    paths = a_log(tmp_path, a_view())
    with Store(paths) as store, store.transaction() as transaction:
        transaction.connection.execute(
            "INSERT INTO recoveries VALUES ($now, 'nothing', NULL)", {"now": transaction.now}
        )
    refused = pytest.raises(MatterlogError, match="served once all deletions are read")
    with owned(paths), open_log(paths) as way, refused:
        way.ask(TallyQuestion(lines=1), lambda _: pytest.fail("nothing may be shown"))


def test_a_question_that_is_too_long_is_not_asked(tmp_path: Path) -> None:
    """Its places are text, and text has a limit."""
    places = ("matter-views:0:1",) * (MAX_QUESTION_BYTES // 10)
    with owned(a_log(tmp_path)) as store, pytest.raises(WrongUse, match="Name fewer"):
        ask_owner(store.paths, RetryQuestion(places=places))


def test_an_owners_extract_gives_way_and_is_counted_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a file that nobody owns is in nobody's way."""
    paths, seen = a_log(tmp_path, a_view()), list[str]()
    monkeypatch.setattr("matterlog.app.owner.questions.give_way", lambda: seen.append("gives way"))

    @contextlib.contextmanager
    def export(format_: str) -> Iterator[None]:
        seen.append(f"begins {format_}")
        yield
        seen.append("ends")

    csv = ExtractQuestion(request=ExtractRequest.model_validate({"format": "csv"}))
    with open_log(paths) as file:
        file.ask(csv)
    with Store(paths) as store:
        csv.answer(Owner(store, export=export), lambda _: seen.append("bytes"), lambda: None)
    assert seen == ["gives way", "begins csv", "bytes", "ends"]


@pytest.mark.parametrize("question", ASKED)
def test_an_older_command_line_is_understood(tmp_path: Path, question: str) -> None:
    """Names, fields and answers on the socket are what they were."""
    paths = a_log(tmp_path, a_view(), a_view())
    with owned(paths), socket_address(paths.socket) as address, Client(address, family="AF_UNIX") as channel:
        channel.send_bytes(question.encode())
        while channel.recv_bytes():
            pass
        result: Any = json.loads(channel.recv_bytes())["result"]
    expected = ASKED[question]
    assert (set(result) if isinstance(expected, set) else result) == expected


def test_two_questions_cannot_have_one_name() -> None:
    """The owner would not know which of them is asked."""
    with pytest.raises(TypeError, match="two questions have the name tally"):

        class Other(OwnerQuestion[int]):
            ask: Literal["tally"] = "tally"

            def carry_out(self, owner: Owner) -> int:
                return owner.store.restarts

    assert isinstance(question_of(b'{"ask": "tally"}'), TallyQuestion)


def test_nobody_answers_what_is_no_question() -> None:
    """Neither an unknown name nor what only questions build on."""
    for text in (b'{"ask": "shutdown"}', b'{"ask": null}', b'{"ask": "ReaderQuestion"}'):
        with pytest.raises(ValidationError):
            question_of(text)
