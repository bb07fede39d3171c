"""The protocol of the socket beside the database.

A *question* is one message of JSON. An *answer* is any number of data messages, one empty message, and one message of
JSON: ``{"result": ...}`` or ``{"error": "...", "wrong_use": false}``. An answer that ends before its JSON is an error:
an incomplete answer is never taken for a complete one.

``multiprocessing.connection`` frames the messages; nothing is ever unpickled. The socket file has the permissions of
the database, which decide who may connect.
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
# sockaddr_un holds 108 bytes on Linux, 104 elsewhere, including the closing zero.
_MAX_ADDRESS_BYTES: Final = 100
_END_OF_DATA: Final = b""

Channel: TypeAlias = "Connection[Any, Any]"


@dataclass(frozen=True, slots=True)
class OwnerSocket:
    """Access to the log through its owner."""

    address: str

    def ask(self, question: Question[Answer], sink: Sink | None = None) -> Answer:
        """Ask the owner a question; bytes that come before the answer go to the sink.

        Raises:
            WrongUse: the question is too long or invalid.
            ExtractFailed: the connection to the owner broke.
            MatterlogError: the owner's error.
        """
        asked = question.model_dump_json().encode()
        if len(asked) > MAX_QUESTION_BYTES:
            raise WrongUse(f"the request is larger than {MAX_QUESTION_BYTES:,} bytes. Name fewer items at once")
        data: list[bytes] = []
        with _owner_may_disconnect():
            channel = Client(self.address, family="AF_UNIX")
        with channel:
            with _owner_may_disconnect():
                channel.send_bytes(asked)
            result = _receive(channel, sink or data.append)
        return question.of_wire(b"".join(data), result)


@contextmanager
def _owner_may_disconnect() -> Iterator[None]:
    """Turn errors of the socket into ExtractFailed; errors of a sink, such as a full disk, stay themselves."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise ExtractFailed("the owner of the database stopped before its answer was complete. Try again") from error


def _receive(channel: Channel, sink: Sink) -> Any:
    while data := _next_message(channel):
        sink(data)
    answer = json.loads(_next_message(channel))
    if "error" in answer:
        raise (WrongUse if answer["wrong_use"] else MatterlogError)(answer["error"])
    return answer["result"]


def _next_message(channel: Channel) -> bytes:
    with _owner_may_disconnect():
        return channel.recv_bytes()


def send_data(channel: Channel, data: bytes) -> None:
    """Send bytes before an answer's JSON."""
    if data != _END_OF_DATA:
        channel.send_bytes(data)


def send_last_word(channel: Channel, answer: dict[str, Any]) -> None:
    """Send an answer's JSON, which ends the answer."""
    channel.send_bytes(_END_OF_DATA)
    channel.send_bytes(json.dumps(answer).encode())


@contextmanager
def socket_address(socket: Path) -> Iterator[str]:
    """Yield an address for a socket file, also if its path is too long for an address.

    Raises:
        WrongUse: the file's name alone is too long.
    """
    plain = os.fspath(socket.absolute())
    if len(os.fsencode(plain)) <= _MAX_ADDRESS_BYTES:
        yield plain
        return
    folder = os.open(socket.parent, os.O_RDONLY)
    try:
        through_folder = f"/proc/self/fd/{folder}/{socket.name}"
        if len(os.fsencode(through_folder)) > _MAX_ADDRESS_BYTES:
            raise WrongUse(f"the socket's name {socket.name} is too long. Give the database a shorter name")
        yield through_folder
    finally:
        os.close(folder)
