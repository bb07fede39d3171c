"""The settings of the Kafka client that reads: what every value of ours must be, and what an operator may change."""

from collections.abc import Mapping
from typing import Final

from matterlog.consumers.errors import ConsumerError

# The delivery guarantees depend on these. A different value is refused.
REQUIRED: Final[Mapping[str, str]] = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "check.crcs": "true",
    "allow.auto.create.topics": "false",
    "enable.partition.eof": "true",
}
# Limits on the memory that over-large messages or a long backlog take.
DEFAULTS: Final[Mapping[str, str]] = {
    # Of a partition, and of all partitions in one answer. Compressed: the messages may take a hundred times as much.
    "fetch.message.max.bytes": "65536",
    "fetch.max.bytes": "1000000",
    "receive.message.max.bytes": "100000000",
    "queued.max.messages.kbytes": "2048",
    # The client counts only values into its kilobytes. Large keys and headers are bounded by the number of messages.
    "queued.min.messages": "100",
    # With librdkafka's default of one second, the queue is empty most of the time while a backlog is read.
    "fetch.queue.backoff.ms": "5",
}


def client_settings(bootstrap_servers: str, group: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Return all settings of the client.

    Args:
        bootstrap_servers: ``host:port``, several separated by commas.
        group: the consumer group's name, unless the settings have another one.
        settings: the operator's settings by librdkafka's names.

    Raises:
        ConsumerError: a setting differs from a required value.
    """
    for name, value in REQUIRED.items():
        if settings.get(name, value) != value:
            raise ConsumerError(f"{name} must stay {value}: otherwise records could be lost or duplicated")
    return {**DEFAULTS, "group.id": group, **settings, **REQUIRED, "bootstrap.servers": bootstrap_servers}
