"""The owner's side of the socket: answers the command line while the consumer runs on the same database.

Each question is answered in a thread of its own, on a cursor of its own: a reader sees a committed state, and neither
blocks the writer nor waits for it.
"""

import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from typing import Any, Final

import duckdb
from pydantic import ValidationError

from matterlog.app.owner.access import READERS_PATIENCE_SECONDS, ConnectionAccess, change_in_store, look_in_store
from matterlog.app.owner.protocol import (
    MAX_QUESTION_BYTES,
    QUESTIONS,
    AnyQuestion,
    BackupQuestion,
    CountQuestion,
    DeadLettersQuestion,
    EngagementQuestion,
    EraseQuestion,
    ExtractQuestion,
    FinishQuestion,
    ReceiptsQuestion,
    RehearsalQuestion,
    StatusQuestion,
    VerifyQuestion,
    error_message,
    result_message,
    socket_address,
    table_as_bytes,
)
from matterlog.app.owner.users import user_behind
from matterlog.consumers.database.batch import Decode
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.erasure.erase_schedule import EraseByDeadline
from matterlog.consumers.recovery.backups import take_backup
from matterlog.report.errors import InvalidFilter
from matterlog.report.handover.register import Register
from matterlog.report.log.giving_way import give_way
from matterlog.schemas import MatterlogError
from matterlog.schemas.database_files import DatabaseFiles

logger = logging.getLogger(__name__)

_END_OF_DATA: Final = b""


@contextmanager
def answering(
    paths: DatabaseFiles,
    store: Store,
    decode: Decode,
    *,
    trouble: Callable[[], str | None] = lambda: None,
    erasure: EraseByDeadline | None = None,
    export: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> Iterator[None]:
    """Answer on the socket beside the database for as long as the context lasts; the caller owns the database.

    Args:
        paths: the database's files.
        store: the log.
        decode: records -> what they are, for dead letters that are tried again.
        trouble: says what keeps tombstones from the topic, for ``status``; None for nothing.
        erasure: what rewrites the database file in time.
        export: counts and times an extract of a format; what raises has failed.
    """
    paths.socket.unlink(missing_ok=True)  # left by an owner that was killed
    with socket_address(paths.socket) as address, _Server(address, store, decode, trouble, erasure) as server:
        server.register = Register(paths.extracts)
        server.export = export
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="matterlog-socket", daemon=True)
        thread.start()
        try:
            yield
        finally:
            paths.socket.unlink(missing_ok=True)
            server.shutdown()
            thread.join()
            server.hang_up()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    # The store interrupts its readers when it closes; the server need not wait for them.
    block_on_close = False
    register: Register
    export: Callable[[str], AbstractContextManager[None]]

    def __init__(
        self,
        address: str,
        store: Store,
        decode: Decode,
        trouble: Callable[[], str | None],
        erasure: EraseByDeadline | None,
    ) -> None:
        self.store = store
        self.decode = decode
        self.trouble = trouble
        self.eraser = erasure.eraser if erasure else Eraser(store)
        self.erasure = erasure
        self._asking: set[socket.socket] = set()
        super().__init__(address, _Handler)

    @property
    def erasure_trouble(self) -> str | None:
        return self.erasure.trouble if self.erasure else None

    def process_request(self, request: Any, client_address: Any) -> None:
        self._asking.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._asking.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the answers under way: one that nobody takes would keep its reader, and with it the store, open."""
        for request in list(self._asking):
            with suppress(OSError):  # who asked has gone in this moment
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        logger.error("a question on the socket failed", exc_info=True)  # noqa: LOG014 - called inside the handler


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        with Connection(os.dup(self.request.fileno())) as channel:
            try:
                question = channel.recv_bytes(MAX_QUESTION_BYTES)
            except (EOFError, OSError):
                return  # somebody only looked whether an owner answers
            try:
                self._answer(channel, question)
            except (BrokenPipeError, ConnectionResetError):
                logger.info("who asked went away before the answer was whole")

    def _answer(self, channel: "Connection[Any, Any]", question: bytes) -> None:
        try:
            last = result_message(self._result(channel, question))
        except (MatterlogError, ValidationError, duckdb.Error) as error:
            text = str(error) if isinstance(error, MatterlogError) else f"the question failed ({type(error).__name__})"
            last = error_message(text, wrong_use=isinstance(error, InvalidFilter | ValidationError))
        channel.send_bytes(_END_OF_DATA)
        channel.send_bytes(last)

    def _result(self, channel: "Connection[Any, Any]", text: bytes) -> Any:
        question = QUESTIONS.validate_json(text)
        if isinstance(question, EraseQuestion):
            return str(self.server.eraser.run(patience_seconds=READERS_PATIENCE_SECONDS))
        if isinstance(question, BackupQuestion):
            return take_backup(self.server.store, question.kept).name
        if isinstance(question, VerifyQuestion):
            return look_in_store(self.server.store, question)
        if isinstance(question, DeadLettersQuestion) and question.ask != "list":
            return change_in_store(self.server.store, question, self.server.decode)
        with self.server.store.served() as connection:
            return self._read(ConnectionAccess(connection, self.server.register), channel, question)

    def _read(self, log: ConnectionAccess, channel: "Connection[Any, Any]", question: AnyQuestion) -> Any:  # noqa: PLR0911 - an answer a question
        match question:
            case ExtractQuestion():
                give_way()
                with self.server.export(question.request.format):
                    return log.extract(question.request, channel.send_bytes).model_dump(mode="json")
            case CountQuestion():
                return log.count(question.request)
            case FinishQuestion():
                made_by = user_behind(self.request) or question.entry.made_by
                return log.finish(question.entry.model_copy(update={"made_by": made_by}))
            case EngagementQuestion():
                answer = log.engagement(question.request)
                channel.send_bytes(table_as_bytes(answer.table))
                return {each: getattr(answer, each).model_dump(mode="json") for each in ("facts", "snapshot")}
            case StatusQuestion():
                found = replace(log.status(), tombstones_trouble=self.server.trouble())
                return asdict(replace(found, erasure_trouble=self.server.erasure_trouble))
            case ReceiptsQuestion():
                return [receipt.model_dump(mode="json") for receipt in log.receipts(question.matter)]
            case RehearsalQuestion():
                return log.rehearse(question.matter).model_dump(mode="json")
            case _:
                return log.dead_letters()
