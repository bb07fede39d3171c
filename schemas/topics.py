"""The two topics: their names, keys, partitions and configuration.

1. A view's key is the event's ID, so that a tombstone with that key in that partition erases that view alone.
2. A deletion's key is the matter's ID. Deletions are kept for ever, since a rebuild needs every one.
3. Keys are UTF-8 text. The partition is murmur2(key) mod partitions, as in Kafka's Java client.
4. Two topics allow two access rights: a service that may write views cannot purge anything.
"""

from dataclasses import dataclass
from typing import Final

from matterlog.schemas.events import Event, MatterDeleted, MatterViewed

DEFAULT_PARTITIONS: Final = 6
# A purged view leaves the topic within this time after its tombstone: a quarter of the 24 hours of a purge's deadline.
MAX_COMPACTION_LAG_MS: Final = 6 * 60 * 60 * 1000
# The partitioner of librdkafka that agrees with Kafka's Java client.
PARTITIONER: Final = "murmur2_random"
CONTENT_TYPE: Final = "application/avro"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic: its name, its event, and its configuration in the broker's terms."""

    name: str
    event: type[Event]
    configuration: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Topics:
    """Both topics, under one prefix, which is empty in most installations."""

    prefix: str = ""

    @property
    def matter_views(self) -> Topic:
        """The topic of views: compacted, with no limit of retention unless an operator sets one."""
        return Topic(
            name=f"{self.prefix}matter-views",
            event=MatterViewed,
            configuration=(
                ("cleanup.policy", "compact,delete"),
                ("max.compaction.lag.ms", str(MAX_COMPACTION_LAG_MS)),
                # Compaction goes by the broker's clock: a producer's clock that runs ahead would delay it.
                ("message.timestamp.type", "LogAppendTime"),
                ("retention.ms", "-1"),
                ("retention.bytes", "-1"),
            ),
        )

    @property
    def matter_deletions(self) -> Topic:
        """The topic of deletions: compacted and kept for ever."""
        return Topic(
            name=f"{self.prefix}matter-deletions", event=MatterDeleted, configuration=(("cleanup.policy", "compact"),)
        )

    @property
    def group(self) -> str:
        """The consumer group. It holds offsets for lag tools alone."""
        return f"{self.prefix}matterlog"

    @property
    def both(self) -> tuple[Topic, Topic]:
        """Both topics: views, then deletions."""
        return self.matter_views, self.matter_deletions


def key_of(event: Event) -> str:
    """Return the Kafka key of an event: the view's own ID, or the deleted matter's ID."""
    return str(event.event_id) if isinstance(event, MatterViewed) else event.matter_id
