"""Log lines on standard error, without floods of repeated lines."""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Final

# librdkafka logs each attempt to reach an unavailable broker: up to a hundred lines a second.
_REPEATED_AFTER_SECONDS: Final = 10.0
_OF_LIBRDKAFKA: Final = "[rdkafka#"
_FIGURES: Final = re.compile(r"\d+")


class FewerRepeats(logging.Filter):
    """A filter that limits lines of librdkafka that differ only in numbers to one in ten seconds, by ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._written_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the line."""
        line = record.getMessage()
        if _OF_LIBRDKAFKA not in line:
            return True
        kind, now = _FIGURES.sub("", line), self._clock()
        if now - self._written_at.get(kind, -_REPEATED_AFTER_SECONDS) < _REPEATED_AFTER_SECONDS:
            return False
        self._written_at[kind] = now
        return True


def log_to_standard_error() -> None:
    """Write the process's log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(FewerRepeats())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler])
