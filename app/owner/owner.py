"""The owner's side of the socket, which answers the command line while the consumer runs on the same database.

Each question has its own thread, and a reader's question its own cursor. A reader sees a committed state, does not
block the writer and does not wait for it.
"""

import logging
import os
import socket
import socketserver
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import duckdb
from pydantic import ValidationError

from matterlog.app.errors import WrongUse
from matterlog.app.owner import questions  # noqa: F401 - the owner knows the questions whose classes are there
from matterlog.app.owner.channel import (
    MAX_QUESTION_BYTES,
    Channel,
    limit_waiting,
    send_data,
    send_last_word,
    socket_address,
)
from matterlog.app.owner.question import Owner, OwnerQuestion, question_of
from matterlog.app.owner.users import may_change, user_behind
from matterlog.report.errors import InvalidFilter
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.damage import in_words

logger = logging.getLogger(__name__)

# How long whoever asks may say nothing, or take nothing of an answer; files take it at once.
_ASKER_PAUSES_SECONDS: Final = 60.0
# Each connection has a thread and a file handle, which the database needs too.
_MOST_CONNECTIONS: Final = 64
# Kinds of errors whose texts say what a value must be. Texts of other kinds quote the value.
_RULES: Final = ("greater_than", "less_than", "int_", "too_", "string_too", "finite", "time_delta", "bool_", "missing")


@contextmanager
def answering(owner: Owner) -> Iterator[None]:
    """Answer on the socket beside the owner's database for as long as the context lasts.

    Where somebody removes the socket, another one is made.
    """
    path = owner.file_store.paths.socket
    path.unlink(missing_ok=True)  # left by an owner that was killed
    with socket_address(path) as address, _Server(address, owner) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="matterlog-socket", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.leaves = True
            path.unlink(missing_ok=True)
            server.shutdown()
            thread.join()
            path.unlink(missing_ok=True)  # made again in this moment
            server.hang_up()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    # The store interrupts its readers when it closes, so the server need not wait for them.
    block_on_close = False

    def __init__(self, address: str, owner: Owner) -> None:
        self.owner = owner
        # Set when the owner ends: then the socket is gone for good.
        self.leaves = False
        self._asking: set[socket.socket] = set()
        super().__init__(address, _Handler)
        self._mode = stat.S_IMODE(owner.file_store.paths.socket.stat().st_mode)

    def service_actions(self) -> None:
        """Look after the socket file; called ten times a second."""
        path = self.owner.file_store.paths.socket
        try:
            self._mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            if not self.leaves:
                self._listen_again(path)

    def _listen_again(self, path: Path) -> None:
        """Put another listening socket in the place of the one whose file is gone; connections go on."""
        try:
            with socket.socket(socket.AF_UNIX) as again:
                again.bind(self.server_address)
                path.chmod(self._mode)
                again.listen(self.request_queue_size)
                os.dup2(again.fileno(), self.socket.fileno(), inheritable=False)
        except OSError as error:  # the folder is gone too, or this user may not write there: the next look tries again
            logger.debug("%s cannot be made again: %s", path, error.strerror)
        else:
            logger.warning("%s was removed, and is made again", path)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's signature
        """Let readers in who are not too many; the owner's user and root always."""
        return may_change(request) or len(self._asking) < _MOST_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        self._asking.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._asking.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close all connections: an answer that nobody reads would keep its reader, and so the store, open."""
        for request in list(self._asking):
            with suppress(OSError):  # the client has just disconnected
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        logger.error("a request on the owner's socket failed", exc_info=True)  # noqa: LOG014 - called inside the handler


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        # Whoever takes nothing of an answer would keep its reader, and so a rewrite of the file waiting.
        limit_waiting(self.request, _ASKER_PAUSES_SECONDS)
        with Connection(os.dup(self.request.fileno())) as channel:
            try:
                asked = channel.recv_bytes(MAX_QUESTION_BYTES)
            except (EOFError, OSError):
                return  # the client only checked that an owner answers
            try:
                send_last_word(channel, self._answer(channel, asked))
            except (BrokenPipeError, ConnectionResetError):
                logger.info("a client disconnected before its answer was complete")
            except BlockingIOError:
                logger.warning(
                    "a client read nothing of its answer for %.0f seconds: disconnected", _ASKER_PAUSES_SECONDS
                )

    def _answer(self, channel: Channel, asked: bytes) -> dict[str, Any]:
        sink = partial(send_data, channel)
        try:
            question = question_of(asked)
            if isinstance(question, OwnerQuestion):
                self._refuse_others(question)
            answer = question.answer(self.server.owner, sink, partial(user_behind, self.request))
            data, result = question.to_wire(answer)
        except ValidationError as error:
            return {"error": f"the request makes no sense{_where(error)}", "wrong_use": True}
        except (MatterlogError, duckdb.Error, sqlite3.Error, OverflowError) as error:
            text = str(error) if isinstance(error, MatterlogError) else f"the request failed ({in_words(error)})"
            return {"error": text, "wrong_use": isinstance(error, InvalidFilter | WrongUse | OverflowError)}
        sink(data)
        return {"result": result}

    def _refuse_others(self, question: OwnerQuestion[Any]) -> None:
        """Refuse to change anything for a user who may only read."""
        if may_change(self.request):
            return
        user = user_behind(self.request)
        logger.warning("%s may not ask the owner's socket: %s", user, question.ask)
        raise MatterlogError(
            f"{user} may read through the owner's socket, and not ask this: only root and the owner's user may"
        )


def _where(error: ValidationError) -> str:
    """Say which field breaks which rule; the text of other rules may quote what was given."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, found["loc"]))
    return f": {place}: {found['msg']}" if found["type"].startswith(_RULES) else ""
