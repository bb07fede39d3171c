"""Workers: a thread that begins with a block and is gone after it."""

import threading
from contextlib import suppress

import pytest

from matterlog.consumers.worker import Worker


class Clerk(Worker):
    """Works until it is told to stop, and puts things in order then."""

    def __init__(self) -> None:
        super().__init__("clerk", daemon=True)
        self.working, self.may_end, self.done = threading.Event(), threading.Event(), False

    def _run(self) -> None:
        self.working.set()
        self._stop.wait(20)
        self.may_end.wait(20)
        self.done = self._stop.is_set()


@pytest.mark.parametrize("error", [None, ValueError])
def test_the_end_of_the_block_tells_the_work_to_stop_and_waits_for_it(error: type[Exception] | None) -> None:
    """Also where the block fails."""
    clerk = Clerk()
    with suppress(ValueError), clerk:
        assert clerk.working.wait(20)
        threading.Timer(0.2, clerk.may_end.set).start()
        if error is not None:
            raise error
    assert clerk.done
    assert "clerk" not in {thread.name for thread in threading.enumerate()}


def test_nothing_works_before_the_block() -> None:
    """Whoever makes a worker may still decide otherwise."""
    assert not Clerk().working.wait(0.1)
