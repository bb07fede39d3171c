"""Topics of which a test says what they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from matterlog.consumers.reading.records import Position, TopicPartition
from matterlog.schemas import Topics
from testbed.feed import DELETIONS, TOPICS, VIEWS


@dataclass(slots=True)
class HeldTopics:
    """Partition 0 of both topics, each from its beginning on. ``cut``: none holds what was read of it."""

    bounds_of: dict[TopicPartition, tuple[int, int]] = field(
        default_factory=lambda: {(VIEWS, 0): (0, 1000), (DELETIONS, 0): (0, 1000)}
    )
    cut: bool = False
    topics: Topics = TOPICS

    def bounds(self) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset of each partition, and its end."""
        return self.bounds_of

    def compare(self, positions: Mapping[TopicPartition, Position]) -> dict[TopicPartition, bool | None]:
        """Say that all of it is there, or nothing."""
        return dict.fromkeys(positions, not self.cut)
