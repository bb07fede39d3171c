"""The protocol of the socket beside the database.

A *question* is one message of JSON. An *answer* is any number of data messages, one empty message, and one message of
JSON: ``{"result": ...}`` or ``{"error": "...", "wrong_use": false}``. An answer that ends before its JSON is an error:
an incomplete answer is never taken for a complete one.

The messages are framed by ``multiprocessing.connection``; nothing is ever unpickled. Who may connect is a matter of the
socket file's permissions: those of the database.

Nobody waits without end. An answer may take as long as it takes: the first byte of an extract, a rewrite, a search. So
an asker who waits also asks the owner, on a connection of its own, whether it is there; any word counts. Where neither
answer nor word comes for ``SILENCE_SECONDS``, the owner is stopped or starved. In the middle of a message, where only a
process that does not run pauses, that time ends the wait by itself.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeAlias

from matterlog.app.errors import NoAnswer, WrongUse
from matterlog.app.owner.question import Answer, Question
from matterlog.app.owner.users import process_behind
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.copying import Sink
from matterlog.schemas import MatterlogError

MAX_QUESTION_BYTES: Final = 1024 * 1024
# sockaddr_un holds 108 bytes on Linux, 104 elsewhere, including the closing zero.
_MAX_ADDRESS_BYTES: Final = 100
_END_OF_DATA: Final = b""
# How long an owner may be silent.
SILENCE_SECONDS: Final = 30.0
_LOOK_EVERY_SECONDS: Final = 5.0
# Makes no sense, so an owner of any version says so at once, without a look at the log.
_ARE_YOU_THERE: Final = b"{}"

Channel: TypeAlias = "Connection[Any, Any]"


@dataclass(frozen=True, slots=True)
class OwnerSocket:
    """The way to the log through its owner, who may be silent for so many seconds."""

    address: str
    silence_seconds: float = SILENCE_SECONDS

    def ask(self, question: Question[Answer], sink: Sink | None = None) -> Answer:
        """Ask the owner a question; bytes that come before the answer go to the sink.

        Raises:
            WrongUse: the question is too long, or the owner finds that it makes no sense.
            ExtractFailed: the owner went away.
            NoAnswer: the owner is there and does not answer.
            MatterlogError: as the owner says.
        """
        asked = question.model_dump_json().encode()
        if len(asked) > MAX_QUESTION_BYTES:
            raise WrongUse(f"the request is larger than {MAX_QUESTION_BYTES:,} bytes. Name fewer items at once")
        data: list[bytes] = []
        with self._owner_may_go_away():
            connected = connect(self.address, self.silence_seconds)
            owner = process_behind(connected)
            channel = _framed(connected)
        with channel:
            with self._owner_may_go_away(owner):
                channel.send_bytes(asked)
            result = self._receive(channel, owner, sink or data.append)
        return question.of_wire(b"".join(data), result)

    @contextmanager
    def _owner_may_go_away(self, owner: int | None = None) -> Iterator[None]:
        """Tell what the socket raises from what a sink raises: the owner's end is no full disk and no closed pipe."""
        try:
            yield
        except BlockingIOError as error:
            raise NoAnswer(owner, self.silence_seconds) from error
        except (EOFError, OSError) as error:
            raise ExtractFailed(
                "the owner of the database stopped before its answer was complete. Try again"
            ) from error

    def _receive(self, channel: Channel, owner: int | None, sink: Sink) -> Any:
        while data := self._next_message(channel, owner):
            sink(data)
        answer = json.loads(self._next_message(channel, owner))
        if "error" in answer:
            raise (WrongUse if answer["wrong_use"] else MatterlogError)(answer["error"])
        return answer["result"]

    def _next_message(self, channel: Channel, owner: int | None) -> bytes:
        with self._owner_may_go_away(owner):
            heard_at = time.monotonic()
            while not channel.poll(min(_LOOK_EVERY_SECONDS, self.silence_seconds)):
                if self._says_something():
                    heard_at = time.monotonic()
                elif time.monotonic() > heard_at + self.silence_seconds:
                    raise NoAnswer(owner, self.silence_seconds)
            return channel.recv_bytes()

    def _says_something(self) -> bool:
        """Whether the owner, who may be busy with an answer, says a word within a while."""
        seconds = min(_LOOK_EVERY_SECONDS, self.silence_seconds)
        try:
            with _framed(connect(self.address, seconds)) as other:
                other.send_bytes(_ARE_YOU_THERE)
                return other.poll(seconds)
        except OSError:  # it takes no connection, or is just leaving: then the answer breaks off
            return False


def connect(address: str, seconds: float) -> socket.socket:
    """Connect to the owner's socket.

    Args:
        address: as ``socket_address`` gives it.
        seconds: how long connecting, each write and each read may wait.

    Raises:
        BlockingIOError: as many wait for the owner already as it lets in, and it takes none.
        OSError: nobody listens there, or this user may not ask.
    """
    connected = socket.socket(socket.AF_UNIX)
    try:
        limit_waiting(connected, seconds)
        connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


def limit_waiting(connected: socket.socket, seconds: float) -> None:
    """Let each read and write of a socket wait for so many seconds, and raise BlockingIOError then."""
    # As the system does it: Python's own limit would make reads of ``multiprocessing`` return at once.
    limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connected.setsockopt(socket.SOL_SOCKET, direction, limit)


def _framed(connected: socket.socket) -> Channel:
    return Connection(connected.detach())


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
