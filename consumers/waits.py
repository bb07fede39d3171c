"""What the consumer does not read for now: since when, why, how often it says so, and when it tries again.

1. A *wait* begins when a topic cannot be read on. Views wait alone: deletions are read and applied all the same. What
   keeps deletions from being read keeps views too.
2. A wait that time may cure is tried again, after a longer pause each time. Any other lasts until a person decides.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from matterlog.consumers.errors import DecisionNeeded, ReadingFailed
from matterlog.schemas.instants import utc_now

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
SAY_AGAIN_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Views, or all records, that are not read for now."""

    error: ReadingFailed
    since: datetime
    views_alone: bool

    @property
    def lasts(self) -> bool:
        """Whether it lasts until a person decides."""
        return isinstance(self.error, DecisionNeeded)

    def __str__(self) -> str:
        since = f"{self.since:%Y-%m-%dT%H:%M:%SZ}"
        if self.views_alone:
            return f"views wait since {since}: {self.error}"
        return f"views and deletions wait since {since}: {self.error}"


@dataclass(slots=True)
class WaitKeeper:
    """Keeps the wait of views alone, or of all records, if there is one. Other threads may read ``wait``.

    Args:
        views_alone: whether it is of views alone.
        clock: returns seconds that never go back.
    """

    views_alone: bool
    clock: Callable[[], float] = time.monotonic
    wait: Wait | None = field(default=None, init=False)
    _pause: float = field(default=FIRST_PAUSE_SECONDS, init=False)
    _try_at: float = field(default=0.0, init=False)
    _said: str = field(default="", init=False)
    _say_at: float = field(default=0.0, init=False)

    def begin(self, error: ReadingFailed) -> None:
        """Begin to wait, or go on after another try."""
        since = utc_now() if self.wait is None else self.wait.since
        self.wait = Wait(error, since, self.views_alone)
        self._try_at = self.clock() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self.remind()

    def remind(self) -> None:
        """Say what waits: at once if the reason is another one, otherwise now and then."""
        if self.wait is None or (str(self.wait.error) == self._said and self.clock() < self._say_at):
            return
        logger.error("%s%s", self.wait, ". Deletions are applied all the same" if self.views_alone else "")
        self._said, self._say_at = str(self.wait.error), self.clock() + SAY_AGAIN_SECONDS

    @property
    def may_end(self) -> bool:
        """Whether it is time to try again, which time alone may have cured."""
        return self.wait is not None and not self.wait.lasts and self.clock() >= self._try_at

    def end(self) -> None:
        """End the wait: reading goes on."""
        if self.wait is not None:
            logger.warning("%s read again", "views are" if self.views_alone else "views and deletions are")
        self.wait = None

    def forget_pauses(self) -> None:
        """Begin the next wait with a short pause: a batch was read and applied since the last one."""
        self._pause = FIRST_PAUSE_SECONDS
