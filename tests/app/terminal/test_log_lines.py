"""Log lines: a broker that is away is told, and not a hundred times a second."""

import logging

from matterlog.app.terminal.log_lines import FewerRepeats

AWAY = "FAIL [rdkafka#producer-1] [thrd:main]: 127.0.0.1:9092: Connect failed: Connection refused (after %dms)"


def a_line(text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("matterlog.producers.kafka", logging.ERROR, __file__, 1, text, values, None)


def test_a_line_of_kafkas_that_differs_in_figures_alone_is_told_again_only_after_ten_seconds() -> None:
    """The first is told at once."""
    now = iter([0.0, 0.1, 9.9, 10.0, 10.1])
    fewer = FewerRepeats(clock=lambda: next(now))
    assert [fewer.filter(a_line(AWAY, milliseconds)) for milliseconds in range(5)] == [True, False, False, True, False]


def test_another_line_of_kafkas_is_told_at_once() -> None:
    """Another reason is news."""
    fewer = FewerRepeats(clock=lambda: 0.0)
    assert fewer.filter(a_line(AWAY, 1))
    assert fewer.filter(a_line("FAIL [rdkafka#producer-1] [thrd:main]: SSL handshake failed"))


def test_our_own_lines_are_all_told() -> None:
    """Two dead letters at two offsets are two lines."""
    fewer = FewerRepeats(clock=lambda: 0.0)
    assert all(
        fewer.filter(a_line("dead letter: matter-views [%d] @ %d: malformed", 3, offset)) for offset in (5, 6, 6)
    )
