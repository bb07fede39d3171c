"""Work in a thread of its own, which begins and ends with a block."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Worker(ABC):
    """Works in a thread of its own; use as a context manager, which at its end tells the thread to stop and waits.

    What the work raises ends the thread and nothing else: each worker catches what it can foresee.

    Args:
        name: the thread's.
        daemon: whether the process may end without it: for work in a context that itself may be left hanging.
    """

    def __init__(self, name: str, *, daemon: bool = False) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=daemon)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        """Tell the thread to stop, and wait until it has."""
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def _run(self) -> None:
        """Work until ``_stop`` is set."""
