"""The socket beside the database: how a question and its answer cross it.

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
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, Final, TypeAlias

from matterlog.app.errors import WrongUse
from matterlog.app.owner.question import Answer, Question
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import Sink
from matterlog.schemas import MatterlogError

MAX_QUESTION_BYTES: Final = 1024 * 1024
# sockaddr_un holds 108 bytes on Linux, 104 elsewhere, the closing zero included.
_MAX_ADDRESS_BYTES: Final = 100
_END_OF_DATA: Final = b""

Channel: TypeAlias = "Connection[Any, Any]"


@dataclass(frozen=True, slots=True)
class OwnerSocket:
    """The way to the log through its owner."""

    address: str

    def ask(self, question: Question[Answer], sink: Sink | None = None) -> Answer:
        """Have the owner answer a question; bytes that go ahead of the answer go to the sink.

        Raises:
            WrongUse: the question is too long, or the owner finds that it makes no sense.
            ExtractFailed: the owner went away.
            MatterlogError: as the owner says.
        """
        asked = question.model_dump_json().encode()
        if len(asked) > MAX_QUESTION_BYTES:
            raise WrongUse(f"what is asked takes more than {MAX_QUESTION_BYTES:,} bytes: name fewer at once")
        data: list[bytes] = []
        with _owner_may_go_away():
            channel = Client(self.address, family="AF_UNIX")
        with channel:
            with _owner_may_go_away():
                channel.send_bytes(asked)
            result = _receive(channel, sink or data.append)
        return question.of_wire(b"".join(data), result)


@contextmanager
def _owner_may_go_away() -> Iterator[None]:
    """Tell what the socket raises from what a sink raises: the owner's end is no full disk and no closed pipe."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise ExtractFailed("the owner of the database went away before its answer was whole; try again") from error


def _receive(channel: Channel, sink: Sink) -> Any:
    while data := _next_message(channel):
        sink(data)
    answer = json.loads(_next_message(channel))
    if "error" in answer:
        raise (WrongUse if answer["wrong_use"] else MatterlogError)(answer["error"])
    return answer["result"]


def _next_message(channel: Channel) -> bytes:
    with _owner_may_go_away():
        return channel.recv_bytes()


def send_data(channel: Channel, data: bytes) -> None:
    """Send bytes ahead of an answer's JSON."""
    if data != _END_OF_DATA:
        channel.send_bytes(data)


def send_last_word(channel: Channel, answer: dict[str, Any]) -> None:
    """Send an answer's JSON."""
    channel.send_bytes(_END_OF_DATA)
    channel.send_bytes(json.dumps(answer).encode())


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
