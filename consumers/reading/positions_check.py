"""Checks whether the stored positions still fit the topics. Pure.

1. A topic that was deleted and created again, or truncated, is another topic with the old name: an error. Its ID shows
   this. If the broker has no topic IDs, the timestamp of the last record that was read does.
2. A position before the first record that a topic still holds has *expired*: a gap, with the move that skips it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from matterlog.consumers.errors import TopicRemade
from matterlog.consumers.reading.records import Gap, Move, Position, TopicPartition

_REMADE: Final = (
    "this is not the topic that was read before: it was deleted and created again, or truncated. Restore the old "
    "topic, or start a new database file (--database)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTopics:
    """The topics' state in Kafka.

    Args:
        ids: topic IDs by topic name. None: the broker has no topic IDs.
        watermarks: the first offset and the end of each partition.
        last_timestamps: timestamps in milliseconds of the records before the positions, where requested and found.
    """

    ids: Mapping[str, str | None]
    watermarks: Mapping[TopicPartition, tuple[int, int]]
    last_timestamps: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredPositions:
    """Positions that the topics no longer hold, as gaps, and the moves that skip them."""

    gaps: tuple[Gap, ...]
    moves: tuple[Move, ...]


def last_offsets(
    positions: Mapping[TopicPartition, Position | None], ids: Mapping[str, str | None]
) -> dict[TopicPartition, int]:
    """Return the offsets whose timestamps identify a topic, for topics without an ID."""
    return {
        partition: position.next_offset - 1
        for partition, position in positions.items()
        if position is not None and position.next_offset and ids.get(partition[0]) is None
    }


def check_positions(positions: Mapping[TopicPartition, Position | None], topics: FoundTopics) -> ExpiredPositions:
    """Check each partition's position and return the expired ones.

    Args:
        positions: the positions in the database. None: the partition was never read.
        topics: the topics' current state.

    Raises:
        TopicRemade: a topic is not the one that the position belongs to.
    """
    gaps, moves = [], []
    for partition, position in positions.items():
        low, high = topics.watermarks[partition]
        began = None if position is None else position.next_offset
        start = began or 0
        if position is not None and (_is_remade(partition, position, topics) or start > high):
            raise TopicRemade(f"{partition[0]} [{partition[1]}] @ {start}: {_REMADE}")
        if start < low:
            gaps.append(Gap(topic=partition[0], partition=partition[1], first_missing=start, next_available=low))
            behind = Position(next_offset=low, topic_id=topics.ids.get(partition[0]))
            moves.append(Move(topic=partition[0], partition=partition[1], began=began, ends=behind))
    return ExpiredPositions(gaps=tuple(gaps), moves=tuple(moves))


def check_ids(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> None:
    """Compare the topics' IDs with their IDs when reading began.

    Raises:
        TopicRemade: a topic was created again since then.
    """
    for topic, topic_id in now.items():
        if topic_id != before[topic]:
            raise TopicRemade(f"{topic}: {_REMADE}")


def _is_remade(partition: TopicPartition, position: Position, topics: FoundTopics) -> bool:
    """Return whether the topic is not the position's: by its ID, otherwise by the last record read."""
    topic_id = topics.ids.get(partition[0])
    if topic_id is not None and position.topic_id is not None:
        return topic_id != position.topic_id
    known = {topics.last_timestamps.get(partition), position.last_timestamp_ms}
    return None not in known and len(known) > 1
