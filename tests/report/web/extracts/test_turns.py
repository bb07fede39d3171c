"""Whose extract is made next, with threads that wait for their turn."""

import threading
from collections.abc import Callable

import pytest

from matterlog.report.errors import ExtractGone
from matterlog.report.web.extracts.turns import SMALL_ROWS, Turns
from testbed.command import PATIENCE_SECONDS

LARGE = SMALL_ROWS + 1


class Line:
    """Extracts that wait behind one that is being made, and the order in which they get their turn."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[str] = []
        self.threads: list[threading.Thread] = []

    def wait(self, name: str, account: int, rows: int) -> None:
        """Let one more wait."""

        def take() -> None:
            with self.turns.turn(account, rows):
                self.order.append(name)

        self.threads.append(threading.Thread(target=take))
        self.threads[-1].start()
        until(lambda: len(self.turns._waiting) == len(self.threads))

    def end(self) -> list[str]:
        """Wait for all of them."""
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS)
        return self.order


def until(is_so: Callable[[], bool]) -> None:
    """Wait for another thread."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_SECONDS * 100)):
        if is_so():
            return
        pause.wait(0.01)
    raise AssertionError


def test_accounts_take_turns() -> None:
    """Whoever asked for many is not served before another who asked for one."""
    line = Line(Turns())
    with line.turns.turn(1, LARGE):
        for number in range(3):
            line.wait(f"1 {number}", 1, LARGE)
        line.wait("2", 2, 10 * LARGE)
    assert line.end() == ["2", "1 0", "1 1", "1 2"]


def test_of_one_account_the_smallest_comes_first() -> None:
    """Of those that wait."""
    line = Line(Turns())
    with line.turns.turn(1, LARGE):
        line.wait("large", 1, 3 * LARGE)
        line.wait("smaller", 1, 2 * LARGE)
    assert line.end() == ["smaller", "large"]


def test_a_small_one_does_not_wait_for_a_large_one() -> None:
    """Nor for another account's; of small ones one is made at a time."""
    line = Line(Turns())
    with line.turns.turn(1, LARGE), line.turns.turn(2, SMALL_ROWS, lambda: pytest.fail("it waits")):
        line.wait("small", 3, 0)
    assert line.end() == ["small"]


def test_who_gives_up_takes_no_place() -> None:
    """The next one gets the turn."""
    turns = Turns()

    def give_up() -> None:
        raise ExtractGone

    with turns.turn(1, LARGE), pytest.raises(ExtractGone), turns.turn(2, LARGE, give_up):
        pass
    with turns.turn(3, LARGE):
        assert (turns._waiting, len(turns._running)) == ([], 1)
