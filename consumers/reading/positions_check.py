"""Checks whether the stored positions still fit the topics. Pure.

1. A topic that was deleted and created again is another topic under the old name: its ID tells.
2. A topic that was *cut* and filled again has the same ID, and other records at offsets that were read before: a
   broker's volume was put back to an older copy, or a tail was lost. The last record that was read tells: another
   timestamp or leader epoch at its offset. So does a partition that ends before the position, or is not there.
3. A record that compaction or retention removed tells nothing.
4. A position before the first record that a topic still holds has *expired*: a gap, with the move that steps over it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matterlog.consumers.errors import TopicRemade
from matterlog.consumers.reading.records import Gap, Move, Position, TopicPartition

_REMADE: Final = "this is not the topic that was read before: it was deleted and created again"
_CUT: Final = (
    "the topic was cut: it no longer holds what was read of it, as after a broker's volume was put back to an older one"
)
_WAY_OUT: Final = (
    "It is not read on. Bring the old topic back, or stop consume and serve and run matterlog reread: it reads the "
    "topic again from its beginning, and the database keeps what it holds"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTopics:
    """The topics' state in Kafka.

    Args:
        ids: by topic; None from a broker that cannot say.
        watermarks: the first offset that each partition holds, and its end.
        last_records: the positions behind the records at ``last_offsets``, where they are there.
    """

    ids: Mapping[str, str | None]
    watermarks: Mapping[TopicPartition, tuple[int, int]]
    last_records: Mapping[TopicPartition, Position]


def last_offsets(positions: Mapping[TopicPartition, Position | None]) -> dict[TopicPartition, int]:
    """Return the offsets of the last records that were read."""
    return {
        partition: position.last_offset
        for partition, position in positions.items()
        if position is not None and position.last_offset is not None
    }


def check_positions(positions: Mapping[TopicPartition, Position | None], topics: FoundTopics) -> list[tuple[Gap, Move]]:
    """Check each partition's position and return the expired ones: each as a gap, with the move that skips it.

    Args:
        positions: the positions in the database. None: the partition was never read.
        topics: the topics' current state.

    Raises:
        TopicRemade: a topic is another one than the position's, or was cut.
    """
    _check_topics(positions, topics)
    expired = []
    for gap in find_gaps(positions, topics):
        position = positions[gap.topic, gap.partition]
        began = None if position is None else position.next_offset
        behind = Position(next_offset=gap.next_available, topic_id=topics.ids.get(gap.topic))
        expired.append((gap, Move(topic=gap.topic, partition=gap.partition, began=began, ends=behind)))
    return expired


def find_gaps(positions: Mapping[TopicPartition, Position | None], topics: FoundTopics) -> list[Gap]:
    """Return the offsets that expired before they were read; of another topic under the old name nothing was read."""
    gaps = []
    for partition, position in positions.items():
        low, _ = topics.watermarks.get(partition, (0, 0))
        first = 0 if position is None or _has_other_id(partition, position, topics) else position.next_offset
        if first < low:
            gaps.append(Gap(topic=partition[0], partition=partition[1], first_missing=first, next_available=low))
    return gaps


def check_ids(before: Mapping[str, str | None], now: Mapping[str, str | None]) -> None:
    """Compare the topics' IDs with their IDs when reading began.

    Raises:
        TopicRemade: a topic was created again since then.
    """
    for topic, topic_id in now.items():
        if topic_id != before[topic]:
            raise TopicRemade(f"{topic}: {_REMADE}. {_WAY_OUT}", topic)


def compare(
    positions: Mapping[TopicPartition, Position | None], topics: FoundTopics
) -> dict[TopicPartition, bool | None]:
    """Say of each partition whether what was read of it is still there; None where nothing tells."""
    return {
        partition: _is_same(partition, position, topics)
        for partition, position in positions.items()
        if position is not None
    }


def topic_cut(partition: TopicPartition, next_offset: int, doubtful: Sequence[TopicPartition]) -> TopicRemade:
    """Return the error about a topic that was cut: where that shows, and of which partitions nothing is certain."""
    place = f"{partition[0]} [{partition[1]}] @ {next_offset}"
    return TopicRemade(f"{place}: {_CUT}. {_WAY_OUT}", partition[0], doubtful, cut=True)


def _check_topics(positions: Mapping[TopicPartition, Position | None], topics: FoundTopics) -> None:
    same = compare(positions, topics)
    doubtful = [partition for partition, is_same in same.items() if not is_same]
    for partition, position in positions.items():
        if position is None or same[partition] is not False:
            continue
        if _has_other_id(partition, position, topics):
            place = f"{partition[0]} [{partition[1]}] @ {position.next_offset}"
            raise TopicRemade(f"{place}: {_REMADE}. {_WAY_OUT}", partition[0], doubtful)
        raise topic_cut(partition, position.next_offset, doubtful)


def _has_other_id(partition: TopicPartition, position: Position, topics: FoundTopics) -> bool:
    ids = {topics.ids.get(partition[0]), position.topic_id}
    return None not in ids and len(ids) > 1


def _is_same(partition: TopicPartition, position: Position, topics: FoundTopics) -> bool | None:
    """Say whether what was read of a partition is still there; None where nothing tells."""
    if _has_other_id(partition, position, topics):
        return False
    if not position.next_offset:
        return True
    if partition not in topics.watermarks or position.next_offset > topics.watermarks[partition][1]:
        return False
    if (found := topics.last_records.get(partition)) is None:
        return None
    facts = ((position.last_timestamp_ms, found.last_timestamp_ms), (position.leader_epoch, found.leader_epoch))
    compared = [before == now for before, now in facts if before is not None and now is not None]
    return all(compared) if compared else None
