"""Whether the database's positions still mean what they meant, by what Kafka says of the topics; pure.

1. A topic that was deleted and made anew, or cut, is another topic under the old name: an error. Its ID tells; where
   the broker has none, the timestamp of the last record that was read.
2. A position before the first record that a topic still holds has *expired*: a gap, with the move that steps over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from matterlog.consumers.errors import TopicRemade
from matterlog.consumers.reading.records import Gap, Move, Position, TopicPartition

_REMADE: Final = (
    "this is not the topic that was read before: it was deleted and made anew, or cut. Bring the old topic back, or "
    "start a new database file (--database)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTopics:
    """What Kafka says of the topics.

    Args:
        ids: by topic; None from a broker that cannot say.
        watermarks: the first offset that each partition holds, and its end.
        last_timestamps: of the records before the positions, in milliseconds, where they were asked for and found.
    """

    ids: Mapping[str, str | None]
    watermarks: Mapping[TopicPartition, tuple[int, int]]
    last_timestamps: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredPositions:
    """Positions that the topics no longer hold, as gaps, and the moves that would step over them."""

    gaps: tuple[Gap, ...]
    moves: tuple[Move, ...]


def last_offsets(
    positions: Mapping[TopicPartition, Position | None], ids: Mapping[str, str | None]
) -> dict[TopicPartition, int]:
    """Return the offsets whose timestamps must tell whether a topic is the same, since no ID can."""
    return {
        partition: position.next_offset - 1
        for partition, position in positions.items()
        if position is not None and position.next_offset and ids.get(partition[0]) is None
    }


def check_positions(positions: Mapping[TopicPartition, Position | None], topics: FoundTopics) -> ExpiredPositions:
    """Check each partition's position; return what has expired.

    Args:
        positions: where the database stands; None where it never read the partition.
        topics: what they are now.

    Raises:
        TopicRemade: a topic is another one than the position's.
    """
    gaps, moves = [], []
    for partition, position in positions.items():
        low, high = topics.watermarks[partition]
        began = None if position is None else position.next_offset
        stands = began or 0
        if position is not None and (_is_remade(partition, position, topics) or stands > high):
            raise TopicRemade(f"{partition[0]} [{partition[1]}] @ {stands}: {_REMADE}")
        if stands < low:
            gaps.append(Gap(topic=partition[0], partition=partition[1], first_missing=stands, next_available=low))
            behind = Position(next_offset=low, topic_id=topics.ids.get(partition[0]))
            moves.append(Move(topic=partition[0], partition=partition[1], began=began, ends=behind))
    return ExpiredPositions(gaps=tuple(gaps), moves=tuple(moves))


def check_ids(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> None:
    """Compare the topics' IDs with those that they had when reading began.

    Raises:
        TopicRemade: a topic was made anew since.
    """
    for topic, topic_id in now.items():
        if topic_id != before[topic]:
            raise TopicRemade(f"{topic}: {_REMADE}")


def _is_remade(partition: TopicPartition, position: Position, topics: FoundTopics) -> bool:
    """Say whether the topic is another one than the position's: by its ID, else by the last record read."""
    topic_id = topics.ids.get(partition[0])
    if topic_id is not None and position.topic_id is not None:
        return topic_id != position.topic_id
    known = {topics.last_timestamps.get(partition), position.last_timestamp_ms}
    return None not in known and len(known) > 1
