"""The producer of tombstones, which erase records from the topic of views.

An event goes to the partition that its key chooses, and its producer never waits. A tombstone goes to the partition of
the record that it erases, whatever the topic's number of partitions is now, and counts only when every replica has it.
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import confluent_kafka

from matterlog.producers.clients import LONGEST_CALL_SECONDS, Client, is_fatal, refusal_of
from matterlog.producers.errors import InvalidSettings

# What the promise rests on; a setting that says otherwise is refused.
REQUIRED: Final[Mapping[str, str]] = {"acks": "all"}
DEFAULTS: Final[Mapping[str, str]] = {
    "linger.ms": "5",
    "queue.buffering.max.messages": "200000",
    # Who waits decides what to do next; an hour, as for events, would hide that the broker is away.
    "delivery.timeout.ms": "30000",
}


class TombstoneProducer:
    """A producer that writes to given partitions and waits. Only one thread may use it.

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
                raise InvalidSettings(f"{name} must stay {value}: without it a purged record could remain")
        self._configuration = {**DEFAULTS, **given, **REQUIRED, "bootstrap.servers": bootstrap_servers}
        self._client = Client(self._configuration)

    def write(
        self, topic: str, messages: Sequence[tuple[int, bytes, bytes | None]], stop: threading.Event
    ) -> str | None:
        """Write messages to their partitions and wait until the broker has acknowledged every one.

        Args:
            messages: partition, key and value. None for the value is a tombstone.
            stop: set to end the wait.

        Returns:
            None when every message is acknowledged; else what is in the way, for people. Then any of them may have been
            written; writing all of them again is safe.
        """
        refusals: list[confluent_kafka.KafkaError] = []

        def note_refusal(error: confluent_kafka.KafkaError | None, _message: confluent_kafka.Message) -> None:
            if error is not None:
                refusals.append(error)

        try:
            for partition, key, value in messages:
                self._client.produce(topic, key=key, value=value, partition=partition, on_delivery=note_refusal)
            while len(self._client) and not refusals and not stop.is_set():
                self._client.flush(LONGEST_CALL_SECONDS)
        except (confluent_kafka.KafkaException, BufferError) as error:
            if isinstance(error, confluent_kafka.KafkaException) and is_fatal(error):
                # It can never send anything again, and forgets what waits by itself.
                self._client = Client(self._configuration)
            return self._give_up(f"tombstones cannot be sent to {topic}: {error}")
        if refusals:
            return self._give_up(
                f"tombstones do not reach {topic}: {refusal_of(refusals[0], topic)}. Until they do, purged views stay "
                "in the topic"
            )
        return self._give_up("stopped") if len(self._client) else None

    def _give_up(self, reason: str) -> str:
        """Drop all unsent messages and return the reason: the caller will write all of them again."""
        self._client.purge()
        # A client that breaks here refuses what comes next, and is replaced then.
        with contextlib.suppress(confluent_kafka.KafkaException):
            self._client.flush(LONGEST_CALL_SECONDS)
        return reason
