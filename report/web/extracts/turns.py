"""Whose extract is made next.

1. One small and one large extract are made at once, so that a small one never waits for a large one.
2. Accounts take turns: the next extract is of the account whose last turn is the longest ago. Of one account's extracts
   the smallest comes first, and of equals the one that was asked for first.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

# About a second's work.
SMALL_ROWS: Final = 20_000
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Place:
    account_id: int
    rows: int
    number: int

    @property
    def is_small(self) -> bool:
        return self.rows <= SMALL_ROWS


class Turns:
    """The extracts that wait and those that are being made."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._waiting: list[_Place] = []
        self._running: list[_Place] = []
        self._last_turns: dict[int, int] = {}

    @contextmanager
    def turn(self, account_id: int, rows: int, check: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Run the block when it is its turn; ``check`` raises to stop waiting."""
        place = _Place(account_id, rows, next(self._numbers))
        with self._changed:
            self._waiting.append(place)
            try:
                while not self._is_next(place):
                    check()
                    self._changed.wait(_LOOK_SECONDS)
            finally:
                self._waiting.remove(place)
            self._running.append(place)
            self._last_turns[account_id] = next(self._numbers)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(place)
                self._changed.notify_all()

    def _is_next(self, place: _Place) -> bool:
        if any(each.is_small == place.is_small for each in self._running):
            return False
        rivals = (each for each in self._waiting if each.is_small == place.is_small)
        return place is min(rivals, key=lambda each: (self._last_turns.get(each.account_id, 0), each.rows, each.number))
