"""Access to the log: through its owner's socket, or from the file if it has no owner."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from matterlog.app.errors import NoAnswer
from matterlog.app.owner.channel import SILENCE_SECONDS, OwnerSocket, connect, socket_address
from matterlog.app.owner.owned_store import lake_store, momentary_store
from matterlog.app.owner.question import Answer, LogReader, Owner, OwnerQuestion, no_decoder
from matterlog.app.owner.registered_extracts import register_of
from matterlog.app.owner.users import credentials_of, user_of_this_process
from matterlog.consumers.database.batch import Decode
from matterlog.report.log.reader import open_for_reading, open_lake_for_reading
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.database_files import DatabaseFiles, DatabaseInUse
from matterlog.schemas.storage.lake import Lake

# A process that is starting or stopping owns the file without a socket: how long to wait for it.
_CHANGE_OF_OWNER_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.1

# Either one answers a reader's questions.
LogAccess = OwnerSocket | LogReader


@contextmanager
def find_owner(paths: DatabaseFiles) -> Iterator[OwnerSocket | None]:
    """Give the way to the owner of the database; None when no process listens.

    Raises:
        NoAnswer: one listens, and lets nobody in.
        MatterlogError: this user may not ask it, or another user's process listens there.
    """
    if not paths.socket.exists():
        yield None
        return
    with socket_address(paths.socket) as address:
        try:
            with connect(address, SILENCE_SECONDS) as connected:
                peer = credentials_of(connected)
        except (ConnectionRefusedError, FileNotFoundError):
            yield None
        except BlockingIOError as error:
            raise NoAnswer(paths.written_owner(), SILENCE_SECONDS) from error
        except PermissionError as error:
            raise MatterlogError(f"this user may not use the database owner's socket {paths.socket}") from error
        else:
            # Another user who may write in the folder could put a socket there.
            trusted = {0, os.geteuid(), *(each.stat().st_uid for each in (paths.database,) if each.exists())}
            if peer and peer[1] not in trusted:
                raise MatterlogError(
                    f"user {peer[1]} listens on {paths.socket}, and does not own the database. Nothing was asked"
                )
            yield OwnerSocket(address)


@contextmanager
def open_log(place: DatabaseFiles | Lake) -> Iterator[LogAccess]:
    """Yield access to the log: on a lake, through its owner, or from the file if it has no owner.

    Raises:
        NoDatabase: there is no database.
        DatabaseInUse: a process owns it and does not answer.
        NoAnswer: as ``find_owner``.
        LakeUnusable: the lake cannot be read.
    """
    with ExitStack() as stack:
        if isinstance(place, Lake):
            yield LogReader(stack.enter_context(open_lake_for_reading(place)), register_of(place))
        else:
            yield _enter(stack, place)


def _enter(stack: ExitStack, paths: DatabaseFiles) -> LogAccess:
    deadline = time.monotonic() + _CHANGE_OF_OWNER_SECONDS
    while True:
        owner = stack.enter_context(find_owner(paths))
        if owner is not None:
            return owner
        try:
            return LogReader(stack.enter_context(open_for_reading(paths)), register_of(paths))
        except DatabaseInUse:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def ask_owner(place: DatabaseFiles | Lake, question: OwnerQuestion[Answer], decode: Decode = no_decoder) -> Answer:
    """Let the owner carry out a question; if there is no owner, become it for the moment.

    A lake has no owner: the question takes its turn among those who change it. ``decode`` is for retrying dead letters.

    Raises:
        DatabaseInUse: a process owns the database and does not answer.
        MatterlogError: the question failed.
    """
    if isinstance(place, Lake):
        with lake_store(place) as store:
            return question.carry_out(Owner(store, decode))
    with find_owner(place) as owner:
        if owner is not None:
            return owner.ask(question)
    with momentary_store(place) as store:
        return question.recorded(Owner(store, decode), user_of_this_process())


def record_act(paths: DatabaseFiles, act: Act) -> None:
    """Add an act of a command, with the user who runs it, to the audit log; raises ``SiteDatabaseUnusable``."""
    AuditLog(SiteDatabase(paths.accounts)).add(act, Actor(system_user=user_of_this_process()))
