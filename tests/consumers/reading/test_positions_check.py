"""Positions against topics: the same one goes on, an expired one leaves a gap, another topic is refused."""

from typing import Any, Final

import pytest

from matterlog.consumers.errors import TopicRemade
from matterlog.consumers.reading.positions_check import (
    ExpiredPositions,
    FoundTopics,
    check_ids,
    check_positions,
    last_offsets,
)
from matterlog.consumers.reading.records import Gap, Move, Position

PLACE: Final = ("views", 0)
NOTHING: Final = ExpiredPositions(gaps=(), moves=())


def found(low: int, high: int, topic_id: str | None = "a", **changes: Any) -> FoundTopics:
    facts: dict[str, Any] = {"ids": {"views": topic_id}, "watermarks": {PLACE: (low, high)}, "last_timestamps": {}}
    return FoundTopics(**facts | changes)


def at(next_offset: int, topic_id: str | None = "a", last_timestamp_ms: int | None = None) -> Position:
    return Position(next_offset=next_offset, topic_id=topic_id, last_timestamp_ms=last_timestamp_ms)


@pytest.mark.parametrize("position", [None, at(0), at(2), at(5)])
def test_a_position_between_the_beginning_and_the_end_goes_on(position: Position | None) -> None:
    """Both are among them: nothing was read, everything was."""
    assert check_positions({PLACE: position}, found(0, 5)) == NOTHING


@pytest.mark.parametrize(("position", "first_missing", "began"), [(at(2), 2, 2), (at(0), 0, 0), (None, 0, None)])
def test_a_position_before_the_beginning_has_expired(
    position: Position | None, first_missing: int, began: int | None
) -> None:
    """The gap ends where the topic begins, and so does the move; who never read the partition has no beginning."""
    gap = Gap(topic="views", partition=0, first_missing=first_missing, next_available=3)
    move = Move(topic="views", partition=0, began=began, ends=at(3))
    assert check_positions({PLACE: position}, found(3, 5)) == ExpiredPositions(gaps=(gap,), moves=(move,))


def test_a_position_behind_the_end_is_another_topics() -> None:
    """Even under the same ID: it was cut there."""
    with pytest.raises(TopicRemade, match=r"views \[0\] @ 6: .* created again.*--database"):
        check_positions({PLACE: at(6)}, found(0, 5))


def test_another_id_is_another_topic() -> None:
    """Whatever its offsets, and its timestamps, say."""
    with pytest.raises(TopicRemade):
        check_positions({PLACE: at(2, last_timestamp_ms=7)}, found(0, 5, "b", last_timestamps={PLACE: 7}))


@pytest.mark.parametrize(("topic_id", "position_id"), [(None, None), (None, "a"), ("a", None)])
def test_without_two_ids_the_last_records_timestamp_tells(topic_id: str | None, position_id: str | None) -> None:
    """The same one goes on; another one is another topic's; one that is not known says nothing."""
    position = {PLACE: at(2, position_id, 7)}
    for last in ({PLACE: 7}, {}):
        assert check_positions(position, found(0, 5, topic_id, last_timestamps=last)) == NOTHING
    with pytest.raises(TopicRemade):
        check_positions(position, found(0, 5, topic_id, last_timestamps={PLACE: 8}))


def test_a_remade_topic_is_told_before_its_expired_positions() -> None:
    """Nobody may step over the gap into another topic."""
    with pytest.raises(TopicRemade):
        check_positions({PLACE: at(2)}, found(3, 5, "b"))


def test_timestamps_are_asked_for_where_no_id_can_tell() -> None:
    """Of the last record that was read, where one was."""
    positions = {("views", 0): at(3), ("views", 1): None, ("views", 2): at(0), ("deletions", 0): at(9)}
    assert last_offsets(positions, {"views": None, "deletions": "a"}) == {("views", 0): 2}


def test_an_id_that_changes_beneath_the_reader_is_another_topic() -> None:
    """One that stays is the same."""
    check_ids({"views": "a", "deletions": None}, {"views": "a", "deletions": None})
    with pytest.raises(TopicRemade, match=r"^views: .*created again"):
        check_ids({"views": "a"}, {"views": "b"})
