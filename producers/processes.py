"""What each process has for itself: real threads and locks, and an end at which what waits is flushed.

1. Threads and locks are the operating system's, also where gevent has put its own in their place: librdkafka waits
   in C, where no greenlet can be switched.
2. ``multiprocessing`` ends its children without ``atexit``, Celery its prefork workers without either.
"""

import importlib
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Any, Final

from matterlog.producers.errors import InvalidSettings

_THREAD_NAME: Final = "matterlog-deliveries"
# The processes that flush at their end: this one, and those that it was forked from.
_flushing_at_end = set[int]()


def original(module: str, name: str) -> Any:
    """Return what stood in a module before gevent patched it."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(importlib.import_module(module), name) if monkey is None else monkey.get_original(module, name)


def real_lock() -> threading.RLock:
    """Return a lock of the operating system's that a signal handler may take once more."""
    lock: threading.RLock = original("_thread", "RLock")()
    return lock


class RealThread:
    """A thread of the operating system's that does not keep the process alive; it starts at once.

    Raises:
        InvalidSettings: eventlet has replaced threads, and gives no way back to real ones.
    """

    def __init__(self, run: Callable[[], None]) -> None:
        eventlet = sys.modules.get("eventlet.patcher")
        if eventlet is not None and eventlet.is_monkey_patched("thread"):
            raise InvalidSettings(
                "eventlet has patched Python's threads, and Kafka's client needs real ones: use gevent or threads, or "
                "eventlet.monkey_patch(thread=False)"
            )
        self._run = run
        self._running = original("_thread", "allocate_lock")()
        self._running.acquire()
        self._ident: int | None = None
        monkey = sys.modules.get("gevent.monkey")
        if monkey is not None and monkey.is_module_patched("threading"):
            original("_thread", "start_new_thread")(self._run_to_the_end, ())
        else:
            threading.Thread(target=self._run_to_the_end, name=_THREAD_NAME, daemon=True).start()

    def _run_to_the_end(self) -> None:
        self._ident = original("_thread", "get_ident")()
        try:
            self._run()
        finally:
            self._running.release()

    def is_current(self) -> bool:
        """Return whether it is the one that asks."""
        return bool(self._ident == original("_thread", "get_ident")())

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end; return whether it came."""
        ended = bool(self._running.acquire(timeout=seconds))
        if ended:
            self._running.release()
        return ended


def at_end(flush: Callable[[], None]) -> None:
    """Have ``flush`` called when this process ends in order; asked again in the same process, do nothing."""
    if os.getpid() in _flushing_at_end:
        return
    _flushing_at_end.add(os.getpid())
    # Called by atexit, and at the end of multiprocessing's children, who do without atexit.
    Finalize(None, flush, exitpriority=0)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        celery.worker_process_shutdown.connect(lambda **_: flush(), weak=False, dispatch_uid="matterlog")
