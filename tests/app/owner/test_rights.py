"""The socket: who may ask what, what is recorded of it, and what nobody can make the owner do."""

import json
import os
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from matterlog.app.owner.access import ask_owner, find_owner, open_log
from matterlog.app.owner.channel import OwnerSocket
from matterlog.app.owner.question import _KNOWN, OwnerQuestion
from matterlog.app.owner.questions import DiscardQuestion, EngagementQuestion, ExtractQuestion, FinishQuestion
from matterlog.app.owner.users import user_of_this_process
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import FileRegister, RegisterEntry
from matterlog.report.web.identity.audit_log import AuditLog
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned
from testbed.events import NOON, a_deletion, a_view
from testbed.feed import Feed
from tests.report.logs import a_log, apply

NOBODY: Final = 65_534
ME: Final = user_of_this_process()
CSV: Final = ExtractRequest.model_validate({"format": "csv"})
# A question of each kind that changes the log or needs it to stand still.
CHANGES: Final[dict[str, dict[str, Any]]] = {
    "retry": {},
    "discard": {},
    "erase": {},
    "backup": {"kept": 1},
    "verify": {"matter": "m-1", "texts": [], "also": []},
}


@pytest.fixture
def shared() -> Iterator[DatabaseFiles]:
    """A log of one view and one dead letter in a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="matterlog-rights-"))
    folder.chmod(0o755)
    paths = a_log(folder, a_view())
    yield paths
    shutil.rmtree(folder)


@contextmanager
def by_another_user(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connect as another user; where only root could, let the owner be another one instead."""
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        mine = os.geteuid()
        monkeypatch.setattr("matterlog.app.owner.users.os.geteuid", lambda: mine + 1)
        yield


def ask(asking: socket.socket, question: dict[str, Any]) -> dict[str, Any]:
    """The last word to a question on a connection."""
    with Connection(os.dup(asking.fileno())) as channel:
        channel.send_bytes(json.dumps(question).encode())
        while channel.recv_bytes():
            pass
        answer: dict[str, Any] = json.loads(channel.recv_bytes())
        return answer


def asked(paths: DatabaseFiles, question: dict[str, Any]) -> dict[str, Any]:
    """The last word to a question of this process's user."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(paths.socket))
        return ask(asking, question)


def acts(paths: DatabaseFiles) -> list[tuple[str, dict[str, Any]]]:
    """What the audit log has, oldest first."""
    entries = AuditLog(SiteDatabase(paths.accounts)).newest(100)[::-1]
    return [(entry.act, json.loads(entry.details)) for entry in entries]


def test_this_list_has_each_question_that_needs_the_owner() -> None:
    """Which the module of questions declares."""
    ours = {
        name
        for name, each in _KNOWN.items()
        if issubclass(each, OwnerQuestion) and each.__module__.startswith("matterlog.")
    }
    assert ours == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_another_user_whom_the_socket_lets_in_changes_nothing(
    shared: DatabaseFiles, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The answer says who may; nothing is carried out."""
    with owned(shared), socket.socket(socket.AF_UNIX) as asking:
        shared.socket.chmod(0o666)
        with by_another_user(monkeypatch):
            asking.connect(str(shared.socket))
        answer = ask(asking, {"ask": name, **CHANGES[name]})
    assert "only root and the owner's user may" in answer["error"]
    assert not shared.accounts.exists()
    assert not shared.backups.exists()


def test_another_user_whom_the_socket_lets_in_may_read(shared: DatabaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """What he reads is recorded under his name."""
    with owned(shared):
        shared.socket.chmod(0o666)
        for question in ({"ask": "status"}, {"ask": "extract", "request": {"format": "csv"}}):
            with socket.socket(socket.AF_UNIX) as asking:
                with by_another_user(monkeypatch):
                    asking.connect(str(shared.socket))
                assert ask(asking, question)["result"]["rows"] == 1
    (entry,) = FileRegister(shared.extracts).extracts()
    assert entry.made_by == ("nobody" if os.geteuid() == 0 else ME)


def test_readers_who_are_too_many_keep_the_owners_user_from_nothing(
    shared: DatabaseFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection has a thread and a handle, which the database needs too."""
    monkeypatch.setattr("matterlog.app.owner.owner._MOST_CONNECTIONS", 0)
    with owned(shared), socket.socket(socket.AF_UNIX) as asking:
        assert asked(shared, {"ask": "status"})["result"]["rows"] == 1
        monkeypatch.setattr("matterlog.app.owner.owner.may_change", lambda _: False)
        asking.connect(str(shared.socket))
        with pytest.raises((EOFError, OSError)):
            ask(asking, {"ask": "status"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can listen as another user")
def test_a_socket_of_another_users_is_not_asked(shared: DatabaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who can write in the folder would be told the names of deleted matters, and would call it clean."""
    shared.database.parent.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as listening:
        with by_another_user(monkeypatch):
            listening.bind(str(shared.socket))
            listening.listen()
        with pytest.raises(MatterlogError, match=f"user {NOBODY} listens on"), find_owner(shared):
            pytest.fail("it was asked")


def test_every_change_stands_in_the_audit_log_with_the_systems_user(shared: DatabaseFiles) -> None:
    """By the socket and without an owner, with its figures; a failed one says so."""
    expected = [
        ("BACKUP_TAKEN", {"system_user": ME}),
        ("DATABASE_SEARCHED", {"files": 3, "system_user": ME}),
        ("DEAD_LETTERS_DISCARDED", {"discarded": 0, "system_user": ME}),
        ("DEAD_LETTERS_DISCARDED", {"failed": "ConsumerError", "system_user": ME}),
    ]
    with owned(shared):
        for name in ("backup", "verify", "discard"):
            assert "result" in asked(shared, {"ask": name, **CHANGES[name]})
        assert "error" in asked(shared, {"ask": "discard", "places": ["matter-views:0:1"]})
    assert acts(shared) == expected
    ask_owner(shared, DiscardQuestion())
    assert acts(shared)[-1] == expected[2]


def test_nothing_is_changed_that_cannot_be_recorded(shared: DatabaseFiles) -> None:
    """The dead letter stays."""
    shared.accounts.write_bytes(b"something else, " * 100)
    with owned(shared) as store:
        Feed(store, begins=1).apply(Feed(store, begins=1).poison(b"broken"))
        assert "cannot be used" in asked(shared, {"ask": "discard"})["error"]
        assert len(asked(shared, {"ask": "list", "whole": False})["result"]) == 1


def test_an_extract_without_finish_is_in_the_register(shared: DatabaseFiles) -> None:
    """As the owner knows it, whoever asks and whatever he says of it."""
    lie = entry_of(filter={"matters": ["m-9"]}, made_by="somebody", rows=0, last_arrival=99)
    with owned(shared):
        result = asked(shared, {"ask": "extract", "request": {"format": "csv"}, "begun": lie})["result"]
    (entry,) = FileRegister(shared.extracts).extracts()
    assert (entry.made_by, entry.rows, entry.sha256, entry.filter.matters) == (ME, 1, result["sha256"], ())
    assert entry.last_arrival == result["snapshot"]["last_arrival"]


def test_an_extract_is_begun_before_its_first_byte_and_stays_so_if_its_asker_goes_away(tmp_path: Path) -> None:
    """The recall list of a matter then has it."""
    paths = a_log(tmp_path, *(a_view(matter_name="x" * 1000) for _ in range(2000)))
    with owned(paths), socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(paths.socket))
        question = json.dumps({"ask": "extract", "request": {"format": "csv"}}).encode()
        asking.sendall(struct.pack("!i", len(question)) + question)
        asking.recv(1)
        (begun,) = FileRegister(paths.extracts).extracts()
        assert (begun.sha256, begun.made_by, begun.name) == ("", ME, "owner's socket")
        asking.shutdown(socket.SHUT_RDWR)
        time.sleep(0.5)
    assert FileRegister(paths.extracts).extracts() == [begun]


def test_an_export_through_the_socket_has_one_entry_with_its_files_name(shared: DatabaseFiles) -> None:
    """And the ID that stands in the manifest."""
    file = shared.database.with_name("x.csv")
    with owned(shared):
        done("export", "--output", file, "--database", shared.database)
    (entry,) = FileRegister(shared.extracts).extracts()
    assert entry.name == str(file)
    assert json.loads(file.with_name("x.csv.manifest.json").read_text())["extract_id"] == str(entry.extract_id)


def entry_of(**changes: Any) -> dict[str, Any]:
    """An entry of the register as an asker may send it."""
    entry = {
        "extract_id": str(uuid4()),
        "made_at": NOON.isoformat(),
        "made_by": "somebody",
        "how": "export",
        "name": "/x.csv",
        "format": "csv",
        "columns": ["user_ID"],
        "filter": {},
        "rows": 1,
        "bytes": 1,
        "sha256": "0",
        "log_id": str(uuid4()),
        "last_arrival": 1,
    }
    return entry | changes


@pytest.mark.parametrize("analysis", [None, "users"])
@pytest.mark.parametrize("ask_", ["finish", "complete"])
def test_no_asker_removes_or_changes_the_entry_of_another_file(
    shared: DatabaseFiles, ask_: str, analysis: str | None
) -> None:
    """Neither of somebody else's nor of one that the owner recorded, though the log's ID is wrong."""
    register = FileRegister(shared.extracts)
    register.record(RegisterEntry.model_validate(entry_of(made_by="somebody else")))
    register.record(RegisterEntry.model_validate(entry_of(made_by=ME, sha256="", rows=0)))
    before = register.extracts()
    with owned(shared):
        for entry in before:
            changed = entry_of(extract_id=str(entry.extract_id), last_arrival=99, sha256="1", analysis=analysis)
            asked(shared, {"ask": ask_, "entry": changed})
    assert register.extracts() == before


@pytest.mark.parametrize("may_change", [True, False])
def test_a_file_that_is_written_again_is_forgotten_of_those_alone_who_could_change_the_register(
    shared: DatabaseFiles, monkeypatch: pytest.MonkeyPatch, *, may_change: bool
) -> None:
    """Of another user it stays: he has the bytes, whatever he says of them."""
    if not may_change:
        monkeypatch.setattr("matterlog.app.owner.owner.user_behind", lambda _: "somebody")
    with owned(shared) as store, open_log(shared) as log:
        question = ExtractQuestion(request=CSV, wants_purges=True, wants_extract_id=True)
        extract = log.ask(question, lambda _: None)
        (entry,) = FileRegister(shared.extracts).extracts()
        apply(store, a_deletion())
        assert extract.holds_purged is False
        assert log.ask(FinishQuestion(entry=entry)) == ("m-42",)
    assert len(FileRegister(shared.extracts).extracts()) == (0 if may_change else 1)


def test_verify_opens_no_file_that_an_asker_names(shared: DatabaseFiles, tmp_path: Path) -> None:
    """Nor calls it clean. It says nothing of what stands in it."""
    secret = tmp_path / "secret"
    secret.write_text("m-1 and its secret")
    with owned(shared):
        result = asked(shared, {"ask": "verify", "matter": "m-1", "texts": ["secret"], "also": [str(secret)]})["result"]
    assert result["found"] == []
    assert result["unseen"] == [f"{secret}: the owner opens no file for others. Use a newer matterlog"]


def test_an_engagement_table_and_dead_letters_that_are_shown_are_in_the_audit_log(shared: DatabaseFiles) -> None:
    """By kind and count: they name people."""
    with owned(shared), open_log(shared) as log:
        assert isinstance(log, OwnerSocket)
        log.ask(EngagementQuestion(request=EngagementRequest.model_validate({"analysis": "users", "now": NOON})))
        asked(shared, {"ask": "list"})
    assert acts(shared) == [
        ("REPORTS_ENGAGEMENT_SHOWN", {"analysis": "users", "rows": 1, "system_user": ME}),
        ("DEAD_LETTERS_SHOWN", {"shown": 0, "system_user": ME}),
    ]


# Each field of a question that has a number: the question with a value that is in order.
NUMBERS: Final[dict[str, tuple[dict[str, Any], tuple[str, ...], set[int]]]] = {
    "kept": ({"ask": "backup"}, ("kept",), {0, -1}),
    "limit": ({"ask": "receipts_page", "limit": 1}, ("limit",), {0, -1}),
    "overdue_within": ({"ask": "receipts_page", "limit": 1}, ("overdue_within",), {-1}),
    "arrived_after": ({"ask": "count", "request": {"format": "csv"}}, ("request", "arrived_after"), {-1}),
    "checked_arrival": ({"ask": "finish", "entry": entry_of()}, ("checked_arrival",), {-1}),
    **{name: ({"ask": "finish", "entry": entry_of()}, ("entry", name), {-1}) for name in ("rows", "bytes")},
    "last_arrival": ({"ask": "complete", "entry": entry_of()}, ("entry", "last_arrival"), {-1}),
    "quiet_for_days": (
        {"ask": "engagement", "request": {"analysis": "users", "now": "2026-01-01T00:00:00Z"}},
        ("request", "quiet_for_days"),
        {0, -1},
    ),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseFiles]:
    """A log with an owner, for questions that change nothing."""
    paths = a_log(tmp_path_factory.mktemp("running"), a_view())
    with owned(paths):
        yield paths


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_that_is_out_of_bounds_is_refused_with_its_field(running: DatabaseFiles, field: str) -> None:
    """And the owner goes on."""
    question, place, refused = NUMBERS[field]
    # Seconds may have a fraction; a form gives numbers as text.
    of_type: dict[str, tuple[object, ...]] = {"overdue_within": (True,), "quiet_for_days": (1.5,)}
    for value in (*refused, 10**30, "many", [], *of_type.get(field, (True, 1.5))):
        whole = json.loads(json.dumps(question))
        inner = whole
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        answer = asked(running, whole)
        assert answer["wrong_use"], value
        assert answer["error"].startswith(f"the request makes no sense: {'.'.join(place)}: "), value
    if 0 not in refused:
        inner[place[-1]] = 0
        assert "makes no sense" not in asked(running, whole).get("error", "")
    assert asked(running, {"ask": "status"})["result"]["rows"] == 1


@pytest.mark.parametrize(
    "place", ["matter-views:0:" + "9" * 30, "matter-views:" + "9" * 5000 + ":0", "x:-1:0", "x:0:²"]
)
def test_a_place_of_a_dead_letter_that_no_topic_has_is_refused(running: DatabaseFiles, place: str) -> None:
    """Wherever a place is asked for."""
    for name in ("list", "discard", "retry"):
        assert "is not an address" in asked(running, {"ask": name, "places": [place]})["error"]


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_at_the_end_of_all_time_is_answered(running: DatabaseFiles, instant: str) -> None:
    """With an answer or an error, not by hanging up."""
    for name in ("since", "until"):
        answer = asked(running, {"ask": "count", "request": {"format": "csv", "filter": {name: instant}}})
        assert answer.keys() & {"result", "error"}
        engaged = {"analysis": "users", "now": instant, "filter": {name: instant}}
        assert asked(running, {"ask": "engagement", "request": engaged}).keys() & {"result", "error"}


def test_a_finish_question_is_named_by_who_asks(shared: DatabaseFiles) -> None:
    """With the same user and bytes, the name alone may be told."""
    with owned(shared), open_log(shared) as log:
        question = ExtractQuestion(request=CSV, wants_purges=True, wants_extract_id=True)
        extract = log.ask(question, lambda _: None)
        (before,) = FileRegister(shared.extracts).extracts()
        named = before.model_copy(update={"name": "/named.csv", "rows": 0, "last_arrival": 99})
        assert before.extract_id == extract.extract_id
        log.ask(FinishQuestion(entry=named))
    assert FileRegister(shared.extracts).extracts() == [before.model_copy(update={"name": "/named.csv"})]
