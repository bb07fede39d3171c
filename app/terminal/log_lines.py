"""Log lines on standard error, without a thousand that say the same."""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Final

# librdkafka logs each attempt to reach a broker that is away: up to a hundred lines a second.
_REPEATED_AFTER_SECONDS: Final = 10.0
_OF_LIBRDKAFKA: Final = "[rdkafka#"
_FIGURES: Final = re.compile(r"\d+")


class FewerRepeats(logging.Filter):
    """Lets a line of librdkafka's through, and its likes, which differ in figures alone, only after a while.

    Args:
        clock: gives seconds that rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the line is written."""
        line = record.getMessage()
        if _OF_LIBRDKAFKA not in line:
            return True
        kind, now = _FIGURES.sub("", line), self._clock()
        if now - self._told.get(kind, -_REPEATED_AFTER_SECONDS) < _REPEATED_AFTER_SECONDS:
            return False
        self._told[kind] = now
        return True


def log_to_standard_error() -> None:
    """Settle where the process's log lines go."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(FewerRepeats())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler])
