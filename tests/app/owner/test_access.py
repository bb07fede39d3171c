"""Owner and command line: who answers while the owner changes, and what an owner says to nonsense."""

import json
import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any, Literal

import pytest

from matterlog.app.errors import NoAnswer
from matterlog.app.owner import access
from matterlog.app.owner.access import ask_owner, open_log
from matterlog.app.owner.channel import MAX_QUESTION_BYTES, OwnerSocket, connect, socket_address
from matterlog.app.owner.owned_store import momentary_store, owned_store
from matterlog.app.owner.question import LogReader, OwnerQuestion, ReaderQuestion
from matterlog.app.owner.questions import (
    BackupQuestion,
    EraseQuestion,
    ExtractQuestion,
    RetryQuestion,
    StatusQuestion,
    VerifyQuestion,
)
from matterlog.consumers.database import opening
from matterlog.consumers.database.store import Store
from matterlog.consumers.recovery import upgrade
from matterlog.report.errors import NoDatabase
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.purges.receipts import read_receipts
from matterlog.schemas.storage.database_files import DatabaseFiles, DatabaseInUse
from testbed.command import done, owned
from testbed.events import a_deletion, a_view
from testbed.feed import decode, files_in
from tests.consumers.processes import running_python
from tests.report.logs import a_log, apply
from tests.versions.copies import log_rows, next_tables, write_log

# Answers for the database until its standard input ends.
ANSWER = """
import sys
from pathlib import Path
from testbed.command import owned
from testbed.feed import files_in

with owned(files_in(Path(sys.argv[1]))):
    print("ready", flush=True)
    sys.stdin.read()
"""


class SlowQuestion(ReaderQuestion[int]):
    """A question whose answer takes so many seconds."""

    ask: Literal["slow"] = "slow"
    seconds: float

    def read(self, log: LogReader) -> int:  # noqa: ARG002 - the question's signature
        time.sleep(self.seconds)
        return 7


def asked(paths: DatabaseFiles, question: bytes) -> dict[str, Any]:
    """An owner's last word to a question that the command line would never ask."""
    with socket_address(paths.socket) as address, Client(address, family="AF_UNIX") as channel:
        channel.send_bytes(question)
        assert channel.recv_bytes() == b""
        answer: dict[str, Any] = json.loads(channel.recv_bytes())
        return answer


def test_the_owner_answers_while_there_is_one_and_the_file_is_read_when_there_is_none(tmp_path: Path) -> None:
    """Both say the same."""
    paths = a_log(tmp_path, a_view(), a_view())
    with open_log(paths) as alone:
        assert isinstance(alone, LogReader)
        status = alone.ask(StatusQuestion())
    with owned(paths), open_log(paths) as answered:
        assert isinstance(answered, OwnerSocket)
        assert answered.ask(StatusQuestion()) == status


def test_an_owner_that_is_just_leaving_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the file and answers no more; the next look finds nobody."""
    paths = a_log(tmp_path, a_view())
    with ExitStack() as owner:
        owner.enter_context(paths.owned())
        monkeypatch.setattr("matterlog.app.owner.access.time.sleep", lambda _: owner.close())
        with open_log(paths) as log:
            assert log.ask(StatusQuestion()).rows == 1


def _asked(question: OwnerQuestion[Any]) -> Callable[[DatabaseFiles], object]:
    return lambda paths: ask_owner(paths, question, decode)


@pytest.mark.parametrize(
    "become_owner",
    [
        lambda paths: owned_store(paths, None).close(),
        _asked(BackupQuestion(kept=9)),
        _asked(EraseQuestion()),
        _asked(VerifyQuestion(matter="m-77", texts=(), also=())),
        _asked(RetryQuestion()),
    ],
    ids=["service", "backup", "erase", "verify-purge", "dead-letters"],
)
def test_whoever_becomes_the_owner_upgrades_an_older_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, become_owner: Callable[[DatabaseFiles], object]
) -> None:
    """For good or for a moment."""
    tables, paths = next_tables("log", tmp_path), files_in(tmp_path)
    write_log(paths.database, tables.version - 1)
    for module in (opening, upgrade):
        monkeypatch.setattr(module, "LOG_TABLES", tables)
    become_owner(paths)
    assert "notes" in log_rows(paths.database)


@pytest.mark.parametrize(
    "become_owner", [lambda paths: owned_store(paths, None), momentary_store], ids=["service", "command"]
)
def test_whoever_becomes_the_owner_asks_the_register_at_a_deletion(
    tmp_path: Path, become_owner: Callable[[DatabaseFiles], Store]
) -> None:
    """So that the receipt names the files that held the matter."""
    paths = a_log(tmp_path, a_view())
    done("export", "--database", paths.database, "--output", tmp_path / "x.csv")
    with become_owner(paths) as store:
        apply(store, a_deletion())
        with store.reader() as connection:
            [receipt] = read_receipts(connection)
    assert [(each.name, each.rows) for each in receipt.recall] == [(str(tmp_path / "x.csv"), 1)]


def test_an_owner_that_never_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its process ID, after a while."""
    paths = a_log(tmp_path, a_view())
    monkeypatch.setattr(access, "_CHANGE_OF_OWNER_SECONDS", 0.0)
    with paths.owned(), pytest.raises(DatabaseInUse, match=f"process {os.getpid()}"), open_log(paths):
        pytest.fail("nobody answered")


def test_no_database_and_no_owner_is_told_at_once(tmp_path: Path) -> None:
    """There is nothing to wait for."""
    with pytest.raises(NoDatabase), open_log(DatabaseFiles(tmp_path / "log.duckdb")):
        pytest.fail("there is nothing to open")


@pytest.mark.parametrize(
    "question",
    [
        *(b"", b"x", b"null", b"{}", b'{"ask": "shutdown"}', b"\xff\xfe", b'{"ask": "extract"}'),
        b'{"ask": "extract", "request": {"format": "csv", "sql": "SELECT 1"}}',
        b'{"ask": "extract", "request": {"format": "docx"}}',
    ],
)
def test_a_question_that_makes_no_sense_is_told_as_such_and_the_next_one_answered(
    tmp_path: Path, question: bytes
) -> None:
    """The owner goes on, and quotes nothing of it."""
    paths = a_log(tmp_path, a_view())
    with owned(paths):
        told = {b'{"ask": "extract"}': ": request: Field required", b"{}": ": ask: Field required"}.get(question, "")
        assert asked(paths, question) == {"error": f"the request makes no sense{told}", "wrong_use": True}
        assert asked(paths, b'{"ask": "status"}')["result"]["rows"] == 1


def test_a_question_beyond_the_limit_is_not_taken_and_the_next_one_answered(tmp_path: Path) -> None:
    """Whoever asks must not fill the owner's memory; blanks alone would make sense to it."""
    paths = a_log(tmp_path, a_view())
    with owned(paths):
        with pytest.raises((EOFError, OSError)):
            asked(paths, b'{"ask": "status"}' + b" " * MAX_QUESTION_BYTES)
        assert asked(paths, b'{"ask": "status"}')["result"]["rows"] == 1


def test_an_error_in_the_owner_is_the_commands_error(tmp_path: Path) -> None:
    """A place where no dead letter stands."""
    paths = a_log(tmp_path)
    with owned(paths):
        answer = asked(paths, b'{"ask": "discard", "places": ["matter-views:0:1"]}')
    assert answer == {"error": "there is no dead letter at matter-views:0:1", "wrong_use": False}


def test_who_connects_and_says_nothing_is_in_nobodys_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is who says half a word, or too much, and leaves; none of it is an error of the owner's."""
    paths = a_log(tmp_path, a_view())
    with owned(paths), socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(paths.socket))
        for words in (b"\0\0", b"\x7f\xff\xff\xff"):
            with socket.socket(socket.AF_UNIX) as hasty:
                hasty.connect(str(paths.socket))
                hasty.send(words)
        assert asked(paths, b'{"ask": "status"}')["result"]["rows"] == 1
        silent.close()
        while any("process_request_thread" in thread.name for thread in threading.enumerate()):
            time.sleep(0.01)
    assert caplog.records == []


def test_an_owner_that_is_stopped_is_named_and_one_that_goes_on_answers(tmp_path: Path) -> None:
    """By its process ID, within a time."""
    paths = a_log(tmp_path, a_view())
    with running_python(ANSWER, tmp_path) as owner, socket_address(paths.socket) as address:
        way = OwnerSocket(address, silence_seconds=1)
        owner.send_signal(signal.SIGSTOP)
        with pytest.raises(NoAnswer, match=f"process {owner.pid}, .* has not answered for 1 seconds"):
            way.ask(StatusQuestion())
        owner.send_signal(signal.SIGCONT)
        assert way.ask(StatusQuestion()).rows == 1


def test_an_owner_that_is_stopped_in_the_middle_of_an_answer_is_named(tmp_path: Path) -> None:
    """Half a file is no extract."""
    paths = a_log(tmp_path, *(a_view(matter_name="x" * 1000) for _ in range(2000)))
    csv = ExtractQuestion(request=ExtractRequest.model_validate({"format": "csv"}))
    with running_python(ANSWER, tmp_path) as owner, socket_address(paths.socket) as address:
        with pytest.raises(NoAnswer):
            OwnerSocket(address, silence_seconds=1).ask(csv, lambda _: owner.send_signal(signal.SIGSTOP))
        owner.send_signal(signal.SIGCONT)


def test_a_message_that_stops_in_the_middle_is_no_answer(tmp_path: Path) -> None:
    """What stands there of it keeps nobody waiting."""
    paths = files_in(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(paths.socket))
        listening.listen()
        way = OwnerSocket(str(paths.socket), silence_seconds=1)
        with ThreadPoolExecutor() as asking:
            answer = asking.submit(way.ask, StatusQuestion())
            with listening.accept()[0] as half:
                half.send(b"\0\0\0\x64half a message")
                with pytest.raises(NoAnswer):
                    answer.result(30)


def test_an_owner_that_takes_no_connection_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many wait already."""
    paths = a_log(tmp_path, a_view())
    monkeypatch.setattr(access, "SILENCE_SECONDS", 0.5)
    with running_python(ANSWER, tmp_path) as owner, socket_address(paths.socket) as address, ExitStack() as waiting:
        owner.send_signal(signal.SIGSTOP)
        with pytest.raises(BlockingIOError):  # noqa: PT012 - one more than it lets in
            while True:
                waiting.enter_context(connect(address, 0.5))
        with pytest.raises(NoAnswer, match=f"process {owner.pid}"), open_log(paths):
            pytest.fail("nobody answered")
        owner.send_signal(signal.SIGCONT)


def test_an_answer_may_take_longer_than_an_owner_may_be_silent(tmp_path: Path) -> None:
    """It says a word on another connection, and is busy, not stopped."""
    paths = a_log(tmp_path, a_view())
    with owned(paths), socket_address(paths.socket) as address:
        assert OwnerSocket(address, silence_seconds=0.5).ask(SlowQuestion(seconds=3)) == 7


def test_whoever_takes_nothing_of_an_answer_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its reader would keep a rewrite of the file waiting for ever."""
    monkeypatch.setattr("matterlog.app.owner.owner._ASKER_PAUSES_SECONDS", 0.5)
    paths = a_log(tmp_path, *(a_view(matter_name="x" * 1000) for _ in range(2000)))
    with owned(paths) as store, socket_address(paths.socket) as address, Client(address, family="AF_UNIX") as stopped:
        stopped.send_bytes(b'{"ask": "extract", "request": {"format": "csv"}}')
        stopped.recv_bytes()
        assert store.readers.wait_until_unread(30)
        while any("process_request_thread" in thread.name for thread in threading.enumerate()):
            time.sleep(0.01)
    assert "a client read nothing of its answer" in caplog.text


def test_several_are_answered_at_once(tmp_path: Path) -> None:
    """One that is read slowly holds up nobody."""
    paths = a_log(tmp_path, *(a_view(matter_name="x" * 1000) for _ in range(2000)))
    with owned(paths), socket_address(paths.socket) as address, Client(address, family="AF_UNIX") as slow:
        slow.send_bytes(b'{"ask": "extract", "request": {"format": "csv"}}')
        first = slow.recv_bytes()
        assert done("status", "--json", "--database", paths.database).out
        assert (
            len(first) + sum(map(len, iter(slow.recv_bytes, b""))) == json.loads(slow.recv_bytes())["result"]["bytes"]
        )


def test_a_socket_that_somebody_removed_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the rights that it had; whoever is being answered then is answered whole."""
    paths = a_log(tmp_path, *(a_view(matter_name="x" * 1000) for _ in range(2000)))
    with owned(paths), socket_address(paths.socket) as address, Client(address, family="AF_UNIX") as slow:
        slow.send_bytes(b'{"ask": "extract", "request": {"format": "csv"}}')
        read = len(slow.recv_bytes())
        paths.socket.chmod(0o660)
        for _ in range(2):  # the owner looks at its socket before it takes the second question
            asked(paths, b'{"ask": "status"}')
        for _ in range(2):
            paths.socket.unlink()
            while not paths.socket.exists():
                time.sleep(0.01)
            assert asked(paths, b'{"ask": "status"}')["result"]["rows"] == 2000
        assert stat.S_IMODE(paths.socket.stat().st_mode) == 0o660
        read += sum(map(len, iter(slow.recv_bytes, b"")))
        assert json.loads(slow.recv_bytes())["result"]["bytes"] == read
    assert not paths.socket.exists()
    assert caplog.text.count("was removed, and is made again") == 2


def test_the_socket_is_gone_with_its_owner(tmp_path: Path) -> None:
    """And one that a killed owner left is replaced."""
    paths = a_log(tmp_path, a_view())
    paths.socket.touch()
    with owned(paths):
        assert paths.socket.is_socket()
    assert not paths.socket.exists()
