"""Ctrl-C and SIGTERM as an event."""

import signal
from collections.abc import Iterator

import pytest

from matterlog.app.terminal.stop_signals import stop_event


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Give the process its own handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_event_and_ends_nothing(number: signal.Signals) -> None:
    """The command that waits for it ends as it should."""
    stop = stop_event()
    assert not stop.is_set()
    signal.raise_signal(number)
    assert stop.is_set()
