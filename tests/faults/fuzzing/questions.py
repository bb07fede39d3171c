"""The door of the owner's socket: whatever is asked, an answer comes, and the owner goes on."""

import json
import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client
from pathlib import Path
from random import Random
from typing import Any, Final

from pydantic import ValidationError

from matterlog.app.owner.channel import socket_address
from matterlog.app.owner.question import question_of
from matterlog.report.errors import InvalidFilter
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import owned
from testbed.events import a_view
from tests.faults.fuzzing.damage import changed_json, damaged, pick
from tests.faults.fuzzing.doors import Try
from tests.report.logs import a_log

REQUEST: Final = {
    "format": "csv",
    "raw_csv": False,
    "excel": False,
    "filter": {"since": "2026-03-01T00:00:00Z", "until": None, "matters": ["m-1"], "user_types": ["Guest"]},
    "columns": "report",
    "with_event_id": True,
    "arrived_after": 0,
    "of_log": "018f0000-0000-8000-8000-000000000000",
}
ENTRY: Final = {
    "extract_id": "018f0000-0000-8000-8000-000000000000",
    "made_at": "2026-03-01T00:00:00Z",
    "made_by": "a",
    "how": "export",
    "name": "x.csv",
    "format": "csv",
    "columns": ["user_ID"],
    "filter": REQUEST["filter"],
    "rows": 1,
    "bytes": 1,
    "sha256": "0" * 64,
    "log_id": "018f0000-0000-8000-8000-000000000000",
    "last_arrival": 1,
    "arrived_after": None,
    "analysis": None,
}
ENGAGEMENT: Final = {
    "analysis": "users",
    "now": "2026-03-02T00:00:00Z",
    "filter": {"since": "2026-02-01T00:00:00Z"},
    "timezone": "Europe/London",
    "by": "week",
    "names": "latest",
    "quiet_for_days": 3,
    "expected": ["c-1"],
}
# A rewrite, a backup and a search start processes, which take too long here: their questions are only read.
SEEDS: Final[tuple[dict[str, Any], ...]] = (
    {"ask": "extract", "request": REQUEST, "begun": None, "wants_purges": True, "wants_extract_id": True},
    {"ask": "extract", "request": {"format": "ndjson"}, "begun": ENTRY},
    {"ask": "count", "request": REQUEST},
    {"ask": "finish", "entry": ENTRY, "checked_arrival": 1},
    {"ask": "complete", "entry": ENTRY},
    {"ask": "engagement", "request": ENGAGEMENT, "begun": None},
    {"ask": "status"},
    {"ask": "receipts", "matter": "m-1"},
    {"ask": "receipts_page", "overdue_within": "P1D", "before": "m", "limit": 10},
    {"ask": "rehearsal", "matter": "m-1"},
    {"ask": "list", "places": ["matter-views:0:1"], "whole": True},
    {"ask": "retry", "places": ["matter-views:0:1"]},
    {"ask": "discard", "places": None},
)
READ_ONLY: Final[tuple[dict[str, Any], ...]] = (
    *SEEDS,
    {"ask": "erase"},
    {"ask": "backup", "kept": 3},
    {"ask": "verify", "matter": "m-1", "texts": ["x"], "also": []},
)
_SLOW: Final = ("erase", "backup", "verify")


class _Errors(logging.Handler):
    """Keeps what the owner reports as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage() + str(record.exc_info and record.exc_info[1]))


def read_question(dice: Random) -> int:
    """Read a question as the owner does: it is one, or it makes no sense."""
    try:
        question = question_of(changed_json(pick(READ_ONLY, dice), dice))
    except (ValidationError, InvalidFilter):
        return 1
    assert question_of(question.model_dump_json().encode()) == question
    return 1


def _ask(address: str, asked: bytes) -> None:
    with Client(address, family="AF_UNIX") as channel:
        channel.send_bytes(asked)
        while channel.recv_bytes():
            pass
        answer = json.loads(channel.recv_bytes())
    assert set(answer) <= {"result", "error", "wrong_use"}, answer


def _ask_raw(address: str, sent: bytes) -> None:
    """Send bytes that are no message: the owner may hang up, and must not do more."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(address)
        with suppress(ConnectionError):
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65_536):
                pass


@contextmanager
def opened(folder: Path) -> Iterator[Try]:
    """The socket of an owner in this process, whose log has two rows."""
    paths: DatabaseFiles = a_log(folder, a_view(matter_id="m-1"), a_view(matter_id="m-2"))
    errors = _Errors()
    with owned(paths), socket_address(paths.socket) as address:

        def try_once(dice: Random) -> int:
            asked = changed_json(pick(SEEDS, dice), dice)
            if any(f'"{name}"'.encode() in asked for name in _SLOW):
                return 0
            if dice.random() < 0.9:
                _ask(address, asked)
            else:
                _ask_raw(address, damaged(struct.pack("!i", len(asked)) + asked, dice))
            assert not errors.found, errors.found
            return 1

        logging.getLogger().addHandler(errors)
        try:
            yield try_once
        finally:
            logging.getLogger().removeHandler(errors)
