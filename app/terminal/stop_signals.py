"""Ctrl-C and SIGTERM, for a command that runs until it is stopped."""

import signal
import threading


def stop_event() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set from now on instead of ending the process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
