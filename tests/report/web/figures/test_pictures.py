"""What is costly to draw: few at once, kept while the log stays as it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Self

import pytest

from matterlog.report.errors import SiteBusy
from matterlog.report.web.figures.pictures import AT_ONCE, Pictures


class Log:
    """A log that says only what its last transaction is."""

    last_arrival = 1

    def reader(self) -> "Log":
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, _: str) -> "Log":
        return self

    def fetchone(self) -> tuple[str, int]:
        return ("log", self.last_arrival)


def _counting() -> tuple[list[int], Callable[[], int]]:
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return len(made)

    return made, make


class Clock:
    """A clock that stands until it is set."""

    now = datetime(2026, 3, 1, tzinfo=UTC)


def test_the_same_question_is_answered_once_until_the_log_or_a_minute_goes_on() -> None:
    """Another question is another answer."""
    log, clock, (made, make) = Log(), Clock(), _counting()
    pictures = Pictures(log, lambda: clock.now)  # type: ignore[arg-type]
    pictures.get("a", make)
    pictures.get("a", make)
    assert len(made) == 1
    pictures.get("b", make)
    assert len(made) == 2
    log.last_arrival += 1
    pictures.get("a", make)
    assert len(made) == 3
    clock.now += timedelta(minutes=1)
    pictures.get("a", make)
    assert len(made) == 4


def test_who_would_wait_too_long_is_told_that_the_site_is_busy() -> None:
    """No more are made at once than there are places."""
    pictures = Pictures(Log(), lambda: Clock.now, patience_seconds=0.01)  # type: ignore[arg-type]
    leave, inside = Event(), [Event() for _ in range(AT_ONCE)]

    def occupy(place: Event) -> bool:
        place.set()
        return leave.wait(30)

    threads = [
        Thread(target=pictures.get, args=(number, lambda place=place: occupy(place)))
        for number, place in enumerate(inside)
    ]
    for thread in threads:
        thread.start()
    assert all(place.wait(30) for place in inside)
    with pytest.raises(SiteBusy):
        pictures.get("another", lambda: None)
    leave.set()
    for thread in threads:
        thread.join()
    assert pictures.get("another", lambda: "made") == "made"
