"""The schedule of rewrites: before the oldest removal's deadline, and many removals at once.

1. A rewrite begins when the oldest removal has waited for half of the time that it has. All removals of that half go
   together, and the other half is left for failures.
2. A rewrite that fails is told, counted, and tried again after a 24th of the time, for as long as anything waits.
3. A deadline that is missed is told at every try, and ``trouble`` says so until the work is done.
4. What was removed at an instant that lies ahead is due at once, and ``trouble`` too: the clock was wrong then.
5. While no rewrite is due, a lake is tidied. If that fails, it is told, and tried again as late as a rewrite.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Final, Protocol

import duckdb

from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.erasure.erase import removals
from matterlog.consumers.errors import StoreFailed
from matterlog.consumers.worker import Worker
from matterlog.schemas import MatterlogError
from matterlog.schemas.instants import is_ahead, stored_now

logger = logging.getLogger(__name__)

_TRIES: Final = 24
_LOOK_EVERY_SECONDS: Final = 10.0


class ErasesBytes(Protocol):
    """Erases the bytes of what was removed: of a file (``erase.py``), or of a lake."""

    stop: Event

    def run(self, *, patience_seconds: float) -> object:
        """Erase them, and return what to tell people; raises ``ErasureFailed``."""

    def tidy(self) -> None:
        """Merge small files if there are many; raises ``ErasureFailed``."""

    def await_end(self) -> None:
        """Wait until a run that somebody else began has ended."""


class EraseByDeadline(Worker):
    """A background thread that rewrites the file before each deadline. Use as a context manager.

    Args:
        store: the log.
        within: how long removed rows may stay in the file.
        eraser: erases them. It is stopped with the thread.
        clock: returns the current time, in UTC without a zone.
    """

    def __init__(
        self, store: LogStore, within: timedelta, eraser: ErasesBytes, *, clock: Callable[[], datetime] = stored_now
    ) -> None:
        super().__init__("matterlog-erasure")
        self._store = store
        self._within = within
        self._clock = clock
        self._tried_at: datetime | None = None
        self.eraser = eraser
        eraser.stop = self._stop
        # Failures since the last successful rewrite, and the last one's text.
        self.failures = 0
        self._last_failure = ""
        # When small files could not be merged.
        self._untidy_since: datetime | None = None
        # What is wrong with the instant from which the deadline is counted; None for nothing.
        self._wrong_instant: str | None = None

    def _end(self) -> None:
        super()._end()
        self.eraser.await_end()  # a rewrite on request is interrupted first and reports that

    @property
    def trouble(self) -> str | None:
        """What keeps the file from being rewritten, for people; None for nothing."""
        failed = f"{self.failures} times in a row: {self._last_failure}" if self.failures else None
        return "; ".join(filter(None, (self._wrong_instant, failed))) or None

    def do_what_is_due(self) -> None:
        """Rewrite the file if that is due. Log and count a failure. The next call that is due retries."""
        since, now = removals(self._store).since, self._clock()
        self._wrong_instant = self._find_wrong_instant(since, now)
        if since is None:
            self.failures = 0
        if since is None or not self._is_over(since + self._within / 2, since, now):
            self._tidy(now)
        elif self._may_try(now):
            self._tried_at = now
            self._try()
            if removals(self._store).since != since:
                self._wrong_instant = None
            elif self._is_over(since + self._within, since, now):
                logger.error("rows removed at %sZ are still in the file: the deadline was missed", since.isoformat())

    def _tidy(self, now: datetime) -> None:
        failed_at = self._untidy_since
        if failed_at is None or self._is_over(failed_at + self._within / _TRIES, failed_at, now):
            try:
                self.eraser.tidy()
                self._untidy_since = None
            except (MatterlogError, duckdb.Error) as error:
                self._untidy_since = now
                logger.warning("small files were not merged: %s", _in_words(error))

    @staticmethod
    def _is_over(due_at: datetime, since: datetime, now: datetime) -> bool:
        return now >= due_at or is_ahead(since, now)

    def _find_wrong_instant(self, since: datetime | None, now: datetime) -> str | None:
        if since is None or not is_ahead(since, now):
            return None
        wrong = f"the clock was ahead when rows were removed, at {since.isoformat()}Z: the file is rewritten at once"
        if wrong != self._wrong_instant:
            logger.error("%s", wrong)
        return wrong

    def _may_try(self, now: datetime) -> bool:
        tried = self._tried_at
        return not self.failures or tried is None or self._is_over(tried + self._within / _TRIES, tried, now)

    def _try(self) -> None:
        try:
            done = self.eraser.run(patience_seconds=self._within.total_seconds() / _TRIES)
        except (MatterlogError, duckdb.Error) as error:
            self.failures += 1
            self._last_failure = _in_words(error)
            if not self._stop.is_set():
                logger.error("%s (failure %d in a row)", self._last_failure, self.failures)  # noqa: TRY400 - the text is enough
        else:
            self.failures = 0
            logger.info("%s", done)

    def _run(self) -> None:
        pause = min(_LOOK_EVERY_SECONDS, self._within.total_seconds() / 100)
        while not self._stop.wait(pause):
            try:
                self.do_what_is_due()
            except StoreFailed as error:
                # The store is away or being reopened. The next round reads the removals again.
                logger.warning("%s", error)


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, MatterlogError) else type(error).__name__
