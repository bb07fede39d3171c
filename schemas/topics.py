"""The two topics: names, keys, partitions and configuration.

1. A view's key is the event's ID, so that a tombstone with that key in that partition erases that view alone.
2. A deletion's key is the matter's ID; deletions are kept for ever, since a rebuild must meet every one.
3. Keys are UTF-8 text; the partition is murmur2(key) mod partitions, as Kafka's own Java client does it.
4. Two topics give two access rights: whoever may write views cannot purge anything.
"""

from dataclasses import dataclass
from typing import Final

from matterlog.schemas.events import Event, MatterDeleted, MatterViewed

DEFAULT_PARTITIONS: Final = 6
# A purged view leaves the topic within this time after its tombstone: a quarter of the 24 hours of a purge's deadline.
MAX_COMPACTION_LAG_MS: Final = 6 * 60 * 60 * 1000
# librdkafka's partitioner that agrees with Kafka's Java client.
PARTITIONER: Final = "murmur2_random"
CONTENT_TYPE: Final = "application/avro"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic's name, the event that it carries, and its configuration as the broker spells it."""

    name: str
    event: type[Event]
    configuration: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Topics:
    """Both topics under one prefix (empty in most installations)."""

    prefix: str = ""

    @property
    def matter_views(self) -> Topic:
        """Compacted and, by default, never cut: retention is there for an operator to bound."""
        return Topic(
            name=f"{self.prefix}matter-views",
            event=MatterViewed,
            configuration=(
                ("cleanup.policy", "compact,delete"),
                ("max.compaction.lag.ms", str(MAX_COMPACTION_LAG_MS)),
                # The broker's own clock decides when compaction is due: a producer's, in the future, would put it off.
                ("message.timestamp.type", "LogAppendTime"),
                ("retention.ms", "-1"),
                ("retention.bytes", "-1"),
            ),
        )

    @property
    def matter_deletions(self) -> Topic:
        """Compacted, kept for ever."""
        return Topic(
            name=f"{self.prefix}matter-deletions",
            event=MatterDeleted,
            configuration=(("cleanup.policy", "compact"),),
        )

    @property
    def both(self) -> tuple[Topic, Topic]:
        """Views, then deletions."""
        return self.matter_views, self.matter_deletions


def key_of(event: Event) -> str:
    """Return the Kafka key of an event: the view's own ID, or the deleted matter's ID."""
    return str(event.event_id) if isinstance(event, MatterViewed) else event.matter_id
