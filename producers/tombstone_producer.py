"""Writing to exact partitions, and waiting for the broker: what erases records from the topic of views.

An event goes to the partition that its key says, and its producer never waits. A tombstone goes to the partition of the
record that it erases, whatever the number of partitions is by now, and counts only when every copy has it.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import confluent_kafka

from matterlog.producers.errors import InvalidSettings

logger = logging.getLogger(__name__)

# What the promise rests on; a setting that says otherwise is refused.
REQUIRED: Final[Mapping[str, str]] = {"acks": "all"}
DEFAULTS: Final[Mapping[str, str]] = {
    "linger.ms": "5",
    "queue.buffering.max.messages": "200000",
    # Who waits decides what to do next; an hour, as for events, would hide that the broker is away.
    "delivery.timeout.ms": "30000",
}
_LOOK_SECONDS: Final = 0.2


class TombstoneProducer:
    """Writes to Kafka and waits. Not for use by two threads.

    Args:
        bootstrap_servers: ``host:port``, several with commas.
        settings: further librdkafka settings by name.

    Raises:
        InvalidSettings: a setting is unknown, malformed, or contradicts the promise.
    """

    def __init__(self, bootstrap_servers: str, settings: Mapping[str, str] | None = None) -> None:
        given = settings or {}
        for name, value in REQUIRED.items():
            if given.get(name, value) != value:
                raise InvalidSettings(f"{name} must stay {value}: without it a purged record could live on")
        configuration = {**DEFAULTS, **given, **REQUIRED, "bootstrap.servers": bootstrap_servers}
        try:
            self._client = confluent_kafka.Producer(configuration, logger=logger)
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise InvalidSettings(f"Kafka refuses the producer's settings: {error}") from error

    def write(
        self, topic: str, messages: Sequence[tuple[int, bytes, bytes | None]], stop: threading.Event
    ) -> str | None:
        """Write messages to their partitions and wait until the broker has acknowledged every one.

        Args:
            topic: where to.
            messages: partition, key, and value; no value is a tombstone.
            stop: set when nobody wants to wait any more.

        Returns:
            None when every message is acknowledged; else what is in the way, for people. Then any of them may have been
            written; writing all of them again is safe.
        """
        refusals: list[confluent_kafka.KafkaError] = []

        def heed(error: confluent_kafka.KafkaError | None, _message: confluent_kafka.Message) -> None:
            if error is not None:
                refusals.append(error)

        try:
            for partition, key, value in messages:
                self._client.produce(topic, key=key, value=value, partition=partition, on_delivery=heed)
        except (confluent_kafka.KafkaException, BufferError) as error:
            return self._give_up(f"tombstones cannot be sent to {topic}: {error}")
        while len(self._client) and not refusals and not stop.is_set():
            self._client.flush(_LOOK_SECONDS)
        if refusals:
            return self._give_up(
                f"tombstones do not reach {topic}: {refusals[0].str()}. Purged views stay in the topic until they "
                "do; they need a broker that answers, and the right to write to that topic"
            )
        return self._give_up("stopped") if len(self._client) else None

    def _give_up(self, reason: str) -> str:
        """Forget what still waits: whoever asked will ask again for all of it."""
        self._client.purge()
        self._client.flush(_LOOK_SECONDS)
        return reason
