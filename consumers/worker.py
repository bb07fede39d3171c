"""Base class for background threads that start and stop with a ``with`` block."""

import threading
from abc import ABC, abstractmethod
from typing import Self


class Worker(ABC):
    """A background thread. Use it as a context manager: leaving the block stops the thread and waits for it.

    An exception ends the thread and nothing else, so each worker catches the errors that it expects.

    Args:
        name: the thread's name.
        daemon: whether the process may end while the thread still runs.
    """

    def __init__(self, name: str, *, daemon: bool = False) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=daemon)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def _run(self) -> None:
        """Work until ``_stop`` is set."""
