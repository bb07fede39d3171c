"""Ctrl-C and SIGTERM, for a command that runs until it is stopped."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def stop_event() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set from now on instead of ending the process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


class Stop:
    """Ctrl-C and SIGTERM for a command that tells how far it came: the first ends it in order, the second at once."""

    def __init__(self) -> None:
        # The exit code, once a signal came.
        self.code = 0
        self._is_held = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.code:
            os._exit(self.code)
        self.code = 128 + number
        if not self._is_held:
            sys.exit(self.code)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what runs in this block end before the process does."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self.code:
            sys.exit(self.code)
