"""Readers' threads give way to the writer: on Linux, where a thread has a priority of its own."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from matterlog.report.log import giving_way
from matterlog.report.log.giving_way import NICENESS, give_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a priority belongs to the whole process")


def niceness() -> int:
    """Of the thread that asks."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def started_from_here() -> int:
    """Niceness of a thread that the present one starts."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(niceness).result()


def test_a_thread_gives_way_with_those_that_it_starts_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice makes no difference."""
    monkeypatch.setattr(giving_way, "NICENESS", NICENESS)
    before = niceness()
    with ThreadPoolExecutor(1) as threads:
        for _ in range(2):
            threads.submit(give_way).result()
        lower = max(NICENESS, before)
        assert (threads.submit(niceness).result(), threads.submit(started_from_here).result()) == (lower, lower)
    assert (niceness(), started_from_here()) == (before, before)
