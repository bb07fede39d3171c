"""The turn to change the lake: one commit at a time, across all machines.

DuckLake lets a transaction commit beside another one that it never saw. Then a view that one inserts and the deletion
of its matter in the other both commit, and the deleted matter is in the log. So whoever changes the lake holds an
advisory lock in the catalogue's PostgreSQL, from before its transaction begins until after it has ended.

1. The lock belongs to a session of its own, which ends with its process. TCP keepalive ends it for a machine that died.
2. A session that holds the lock for a minute while another one waits is ended by that one, with the rights of the same
   role. Its owner may live on and commit: that is harmless. If anybody else has committed since, the next snapshot's
   number is taken, and DuckLake refuses the commit.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from psycopg import errors

from matterlog.consumers.errors import StoreUnavailable

logger = logging.getLogger(__name__)

# The key of the lock: the first eight bytes of "matterlog", as PostgreSQL's 64-bit key.
_KEY: Final = int.from_bytes(b"matterlo")
PATIENCE_SECONDS: Final = 60.0
# A dead machine is found after about half of the time that others wait.
_SERVER_KEEPALIVE: Final = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4"
# PostgreSQL shows a 64-bit key as two halves.
_HOLDER: Final = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (
    SELECT oid FROM pg_database WHERE datname = current_database()
) AND classid = %(high)s AND objid = %(low)s
"""
_HALVES: Final = {"high": _KEY >> 32, "low": _KEY & 0xFFFF_FFFF}


class CommitLock:
    """The lock, and the session in PostgreSQL that it belongs to. Used by one thread at a time.

    Args:
        sessions: the address of the catalogue for a session (``Lake.sessions``).
        patience_seconds: how long to wait before the holder's session is ended.

    Raises:
        StoreUnavailable: PostgreSQL does not answer, or refuses the session.
    """

    def __init__(self, sessions: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        try:
            self._session = psycopg.connect(sessions, autocommit=True, application_name="matterlog")
            with suppress(errors.Error):  # a Unix socket needs none
                self._session.execute(_SERVER_KEEPALIVE)
            self._session.execute(f"SET lock_timeout = {round(patience_seconds * 1000)}")
        except psycopg.Error as error:
            raise _unreachable(error) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock until the context ends.

        Raises:
            StoreUnavailable: PostgreSQL does not answer, or ended this session.
        """
        try:
            self._take()
        except psycopg.Error as error:
            raise _unreachable(error) from error
        try:
            yield
        finally:
            # Where the session has ended, its lock has too.
            with suppress(psycopg.Error):
                self._session.execute("SELECT pg_advisory_unlock(%s)", (_KEY,))

    def close(self) -> None:
        """End the session, and with it the lock."""
        self._session.close()

    def _take(self) -> None:
        # Nearly always nobody holds it. Whoever waits for it goes first.
        if self._session.execute("SELECT pg_try_advisory_lock(%s)", (_KEY,)).fetchone() == (True,):
            return
        while True:
            before = self._holder()
            try:
                self._session.execute("SELECT pg_advisory_lock(%s)", (_KEY,))
            except errors.LockNotAvailable:
                # Somebody who took the lock only lately is not stuck.
                if before is not None and before == self._holder():
                    logger.error(  # noqa: TRY400 - the time-out says nothing more
                        "process %d of PostgreSQL has held the lake's lock for %.0f seconds. Its session is ended",
                        before,
                        self._patience_seconds,
                    )
                    self._session.execute("SELECT pg_terminate_backend(%s)", (before,))
            else:
                return

    def _holder(self) -> int | None:
        found = self._session.execute(_HOLDER, _HALVES).fetchone()
        return None if found is None else int(found[0])


def _unreachable(error: psycopg.Error) -> StoreUnavailable:
    return StoreUnavailable(f"the lake's catalogue does not answer, or refuses this session ({type(error).__name__})")
