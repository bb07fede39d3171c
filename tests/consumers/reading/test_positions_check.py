"""Positions against topics: the same one goes on, an expired one leaves a gap, another topic is refused."""

from dataclasses import replace
from typing import Any, Final

import pytest

from matterlog.consumers.errors import TopicRemade
from matterlog.consumers.reading.positions_check import FoundTopics, check_ids, check_positions, find_gaps, last_offsets
from matterlog.consumers.reading.records import Gap, Move, Position

PLACE: Final = ("views", 0)
NOTHING: Final[list[object]] = []


def found(low: int, high: int, topic_id: str | None = "a", **changes: Any) -> FoundTopics:
    facts: dict[str, Any] = {"ids": {"views": topic_id}, "watermarks": {PLACE: (low, high)}, "last_records": {}}
    return FoundTopics(**facts | changes)


def at(
    next_offset: int, topic_id: str | None = "a", last_timestamp_ms: int | None = None, leader_epoch: int | None = None
) -> Position:
    last = {"last_timestamp_ms": last_timestamp_ms, "last_offset": next_offset - 1, "leader_epoch": leader_epoch}
    return Position(next_offset=next_offset, topic_id=topic_id, **last)


def there(timestamp_ms: int | None, leader_epoch: int | None = None) -> dict[str, Any]:
    """The last record, found at its offset."""
    return {"last_records": {PLACE: at(2, None, timestamp_ms, leader_epoch)}}


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
    move = Move(topic="views", partition=0, began=began, ends=Position(next_offset=3, topic_id="a"))
    assert check_positions({PLACE: position}, found(3, 5)) == [(gap, move)]


def test_a_position_behind_the_end_is_another_topics() -> None:
    """Even under the same ID: it was cut there."""
    with pytest.raises(TopicRemade, match=r"views \[0\] @ 6: .*the topic was cut.*matterlog reread") as raised:
        check_positions({PLACE: at(6)}, found(0, 5))
    assert (raised.value.cut, raised.value.doubtful) == (True, (PLACE,))


def test_a_partition_that_is_gone_was_cut() -> None:
    """A topic never loses partitions; one of which nothing was read says nothing."""
    gone = ("views", 1)
    assert check_positions({PLACE: at(2), gone: at(0)}, found(0, 5)) == NOTHING
    with pytest.raises(TopicRemade, match=r"views \[1\] @ 3: .*cut") as raised:
        check_positions({PLACE: at(2, last_timestamp_ms=7), gone: at(3)}, found(0, 5, **there(7)))
    assert raised.value.doubtful == (gone,)


@pytest.mark.parametrize("last", [there(8, 4), there(7, 5), there(None, 5), there(8)])
def test_another_record_where_the_last_one_was_read_was_cut(last: dict[str, Any]) -> None:
    """Its timestamp or its leader epoch tells; partitions of which nothing tells are doubtful with it."""
    other = ("views", 1)
    topics = found(0, 5, **last, watermarks={PLACE: (0, 5), other: (0, 5)})
    with pytest.raises(TopicRemade, match=r"views \[0\] @ 2: .*cut") as raised:
        check_positions({PLACE: at(2, last_timestamp_ms=7, leader_epoch=4), other: at(3)}, topics)
    assert (raised.value.cut, raised.value.doubtful) == (True, (PLACE, other))


@pytest.mark.parametrize("last", [{}, there(7, 4), there(7), there(None, 4), there(None)])
def test_the_same_record_or_none_goes_on(last: dict[str, Any]) -> None:
    """Compaction or retention may have removed it, and what is not known says nothing."""
    assert check_positions({PLACE: at(2, "a", 7, 4)}, found(0, 5, **last)) == NOTHING


def test_another_id_is_another_topic() -> None:
    """Whatever its offsets, and its timestamps, say."""
    with pytest.raises(TopicRemade):
        check_positions({PLACE: at(2, last_timestamp_ms=7)}, found(0, 5, "b", **there(7)))


@pytest.mark.parametrize(("topic_id", "position_id"), [(None, None), (None, "a"), ("a", None)])
def test_without_two_ids_the_last_records_timestamp_tells(topic_id: str | None, position_id: str | None) -> None:
    """The same one goes on; another one is another topic's; one that is not known says nothing."""
    position = {PLACE: at(2, position_id, 7)}
    for last in (there(7), {}):
        assert check_positions(position, found(0, 5, topic_id, **last)) == NOTHING
    with pytest.raises(TopicRemade):
        check_positions(position, found(0, 5, topic_id, **there(8)))


def test_a_remade_topic_is_told_before_its_expired_positions() -> None:
    """Nobody may step over the gap into another topic."""
    with pytest.raises(TopicRemade):
        check_positions({PLACE: at(2)}, found(3, 5, "b"))


@pytest.mark.parametrize(("topic_id", "first_missing"), [("a", 2), (None, 2), ("b", 0)])
def test_what_another_topic_lost_before_it_was_read_begins_at_its_beginning(
    topic_id: str | None, first_missing: int
) -> None:
    """Nothing of it was read, wherever the position in the topic before it stands."""
    gap = Gap(topic="views", partition=0, first_missing=first_missing, next_available=3)
    assert find_gaps({PLACE: at(2)}, found(3, 5, topic_id)) == [gap]
    assert find_gaps({PLACE: at(4)}, found(3, 5, topic_id)) == ([gap] if topic_id == "b" else [])
    assert find_gaps({("views", 1): at(4)}, found(3, 5, topic_id)) == []


def test_the_last_record_that_was_read_is_asked_for() -> None:
    """Wherever the position stands."""
    positions = {("views", 0): replace(at(3), next_offset=9), ("views", 1): None, ("views", 2): Position(next_offset=4)}
    assert last_offsets(positions) == {("views", 0): 2}


def test_an_id_that_changes_beneath_the_reader_is_another_topic() -> None:
    """One that stays is the same."""
    check_ids({"views": "a", "deletions": None}, {"views": "a", "deletions": None})
    with pytest.raises(TopicRemade, match=r"^views: .*created again"):
        check_ids({"views": "a"}, {"views": "b"})
