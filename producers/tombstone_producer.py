"""The producer of tombstones, which erase records from the topic of views.

An event goes to the partition that its key chooses, and its producer never waits. A tombstone goes to the partition of
the record that it erases, whatever the topic's number of partitions is now, and counts only when every replica has it.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import confluent_kafka

from matterlog.producers.errors import InvalidSettings

logger = logging.getLogger(__name__)

# Erasure needs this value. Any other value is refused.
REQUIRED: Final[Mapping[str, str]] = {"acks": "all"}
DEFAULTS: Final[Mapping[str, str]] = {
    "linger.ms": "5",
    "queue.buffering.max.messages": "200000",
    # The caller waits and tries again later. An hour, as for events, would hide that the broker is unavailable.
    "delivery.timeout.ms": "30000",
}
_POLL_SECONDS: Final = 0.2


class TombstoneProducer:
    """A producer that writes to given partitions and waits. Only one thread may use it.

    Args:
        bootstrap_servers: ``host:port``, separated by commas.
        settings: more librdkafka settings by name.

    Raises:
        InvalidSettings: a setting is unknown, malformed, or would break the guarantee.
    """

    def __init__(self, bootstrap_servers: str, settings: Mapping[str, str] | None = None) -> None:
        given = settings or {}
        for name, value in REQUIRED.items():
            if given.get(name, value) != value:
                raise InvalidSettings(f"{name} must stay {value}: without it a purged record could remain")
        configuration = {**DEFAULTS, **given, **REQUIRED, "bootstrap.servers": bootstrap_servers}
        try:
            self._client = confluent_kafka.Producer(configuration, logger=logger)
        except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
            raise InvalidSettings(f"Kafka's client refused the producer's settings: {error}") from error

    def write(
        self, topic: str, messages: Sequence[tuple[int, bytes, bytes | None]], stop: threading.Event
    ) -> str | None:
        """Write messages to their partitions and wait until the broker has acknowledged every one.

        Args:
            topic: the topic of the records.
            messages: partition, key and value. None for the value is a tombstone.
            stop: set to end the wait.

        Returns:
            None when every message is acknowledged, otherwise the reason in words. Then some messages may have been
            written, and it is safe to write all of them again.
        """
        refusals: list[confluent_kafka.KafkaError] = []

        def note_refusal(error: confluent_kafka.KafkaError | None, _message: confluent_kafka.Message) -> None:
            if error is not None:
                refusals.append(error)

        try:
            for partition, key, value in messages:
                self._client.produce(topic, key=key, value=value, partition=partition, on_delivery=note_refusal)
        except (confluent_kafka.KafkaException, BufferError) as error:
            return self._give_up(f"tombstones cannot be sent to {topic}: {error}")
        while len(self._client) and not refusals and not stop.is_set():
            self._client.flush(_POLL_SECONDS)
        if refusals:
            return self._give_up(
                f"tombstones do not reach {topic}: {refusals[0].str()}. Until they do, purged views stay in the topic. "
                "Check that the broker is running and that this user may write to the topic"
            )
        return self._give_up("stopped") if len(self._client) else None

    def _give_up(self, reason: str) -> str:
        """Drop all unsent messages and return the reason: the caller will write all of them again."""
        self._client.purge()
        self._client.flush(_POLL_SECONDS)
        return reason
