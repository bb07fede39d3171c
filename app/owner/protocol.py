"""What the command line and the owner of the database say to each other over the socket.

A *question* is one message: JSON. An *answer* is any number of messages of data, one empty message, and one message of
JSON: ``{"result": ...}`` or ``{"error": "...", "wrong_use": false}``. An answer that breaks off before the JSON is an
error too: nothing is taken for whole that is not.

The messages are framed by ``multiprocessing.connection``; nothing is ever unpickled. Who may connect is a matter of the
socket file's permissions: those of the database.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from matterlog.app.errors import WrongUse
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.extracts.extracts import ExtractRequest
from matterlog.report.handover.register import RegisterEntry

MAX_QUESTION_BYTES: Final = 1024 * 1024
# sockaddr_un holds 108 bytes on Linux, 104 elsewhere, the closing zero included.
_MAX_ADDRESS_BYTES: Final = 100


class ExtractQuestion(BaseModel):
    """Write an extract; its bytes are the answer's data."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["extract"] = "extract"
    request: ExtractRequest


class CountQuestion(BaseModel):
    """Say how many rows an extract would have now."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["count"] = "count"
    request: ExtractRequest


class FinishQuestion(BaseModel):
    """Record an extract before it appears; the answer is the matters in it that were purged meanwhile."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["finish"] = "finish"
    entry: RegisterEntry


class EngagementQuestion(BaseModel):
    """Answer an engagement analysis; its table is the answer's data, an Arrow IPC stream.

    The result is what the table rests on and the state of the log that it is of (``facts``, ``snapshot``).
    """

    model_config = ConfigDict(frozen=True)
    ask: Literal["engagement"] = "engagement"
    request: EngagementRequest


class StatusQuestion(BaseModel):
    """Say what the log holds."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["status"] = "status"


class DeadLettersQuestion(BaseModel):
    """List, retry or discard dead letters; ``places`` are ``topic:partition:offset``, None for all."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["list", "retry", "discard"]
    places: tuple[str, ...] | None = None


class ReceiptsQuestion(BaseModel):
    """Read the receipts of deletions; ``matter`` is None for all."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["receipts"] = "receipts"
    matter: str | None = None


class RehearsalQuestion(BaseModel):
    """Count what a deletion of a matter would remove."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["rehearsal"] = "rehearsal"
    matter: str


class BackupQuestion(BaseModel):
    """Take a backup now, and keep so many; the answer is its name."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["backup"] = "backup"
    kept: int


class EraseQuestion(BaseModel):
    """Rewrite the database file now; the answer says what that did."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["erase"] = "erase"


class VerifyQuestion(BaseModel):
    """Look for a deleted matter in the database's files, for texts of it, and in further files."""

    model_config = ConfigDict(frozen=True)
    ask: Literal["verify"] = "verify"
    matter: str
    texts: tuple[str, ...]
    also: tuple[str, ...]


AnyQuestion = (
    ExtractQuestion
    | CountQuestion
    | EngagementQuestion
    | FinishQuestion
    | StatusQuestion
    | DeadLettersQuestion
    | ReceiptsQuestion
    | RehearsalQuestion
    | EraseQuestion
    | BackupQuestion
    | VerifyQuestion
)
Question = Annotated[AnyQuestion, Field(discriminator="ask")]
QUESTIONS: Final[TypeAdapter[AnyQuestion]] = TypeAdapter(Question)


def table_as_bytes(table: pa.Table) -> bytes:
    """Write a table as an Arrow IPC stream."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue().to_pybytes()  # type: ignore[no-any-return]  # pyarrow has no types


def table_of_bytes(data: bytes) -> pa.Table:
    """Read what ``table_as_bytes`` wrote."""
    return pa.ipc.open_stream(data).read_all()


def result_message(result: Any) -> bytes:
    """Write the last message of an answer."""
    return json.dumps({"result": result}).encode()


def error_message(text: str, *, wrong_use: bool) -> bytes:
    """Write the last message of an answer that is an error."""
    return json.dumps({"error": text, "wrong_use": wrong_use}).encode()


@contextmanager
def socket_address(socket: Path) -> Iterator[str]:
    """Give an address for a socket file, however deep its folder lies.

    Raises:
        WrongUse: its own name is too long.
    """
    plain = os.fspath(socket.absolute())
    if len(os.fsencode(plain)) <= _MAX_ADDRESS_BYTES:
        yield plain
        return
    folder = os.open(socket.parent, os.O_RDONLY)
    try:
        through_folder = f"/proc/self/fd/{folder}/{socket.name}"
        if len(os.fsencode(through_folder)) > _MAX_ADDRESS_BYTES:
            raise WrongUse(f"the name of the socket {socket.name} is too long: give the database a shorter name")
        yield through_folder
    finally:
        os.close(folder)
