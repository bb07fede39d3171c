"""A cache of costly counts and pictures: few are made at once, and kept for a minute while the log does not change."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock
from typing import Any, Final, TypeVar

from matterlog.report.errors import SiteBusy
from matterlog.report.log.snapshot import SQL
from matterlog.report.web.figures.ports import Log

Made = TypeVar("Made")
# Each takes a core and some of the database's memory.
AT_ONCE: Final = 2
_MOST_KEPT: Final = 32
_KEPT_FOR: Final = timedelta(minutes=1)
_PATIENCE_SECONDS: Final = 20.0


class Pictures:
    """The cache, keyed by the question and the log's last transaction.

    It never returns anything from an earlier state of the log. All of that, such as a purged matter's name, is removed
    from memory at the next call.
    """

    def __init__(self, log: Log, now: Callable[[], datetime], patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._log = log
        self._now = now
        self._patience_seconds = patience_seconds
        self._slots = BoundedSemaphore(AT_ONCE)
        self._lock = Lock()
        self._state: Hashable = None
        self._kept: OrderedDict[Hashable, tuple[datetime, Any]] = OrderedDict()

    def get(self, asked: Hashable, make: Callable[[], Made]) -> Made:
        """Return the cached answer to a question, or make it.

        Args:
            asked: the whole question, as the key.
            make: called if nothing fresh is cached; it must not call ``get``, or it could wait for itself.

        Raises:
            LogUnavailable: the database is unavailable.
            SiteBusy: others are being made, and none was finished in time.
        """
        state = self._state_of_log()
        found = self._find(state, asked)
        if found is None:
            if not self._slots.acquire(timeout=self._patience_seconds):
                raise SiteBusy(SiteBusy.__doc__)
            try:
                # Another request may have made it while this one waited.
                found = self._find(state, asked) or self._keep(state, asked, (self._now(), make()))
            finally:
                self._slots.release()
        made: Made = found[1]
        return made

    def _state_of_log(self) -> Hashable:
        with self._log.reader() as connection:
            return connection.execute(SQL["log"]).fetchone()

    def _find(self, state: Hashable, asked: Hashable) -> tuple[datetime, Any] | None:
        with self._lock:
            if state != self._state:
                self._state = state
                self._kept.clear()
            found = self._kept.get(asked)
            fresh = found is not None and timedelta() <= self._now() - found[0] < _KEPT_FOR
            return found if fresh else None

    def _keep(self, state: Hashable, asked: Hashable, made: tuple[datetime, Any]) -> tuple[datetime, Any]:
        with self._lock:
            if state == self._state:
                self._kept[asked] = made
                self._kept.move_to_end(asked)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return made
