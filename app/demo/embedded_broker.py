"""The embedded broker, for trying things out: librdkafka's mock cluster in this process's memory.

It has four partitions per topic and holds the newest 5 MB or 100,000 messages of each until the process ends. It takes
no administrative request and compacts nothing.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import confluent_kafka

from matterlog.schemas import Topics

logger = logging.getLogger(__name__)


@contextmanager
def embedded_broker(topics: Topics) -> Iterator[str]:
    """Run the broker with both topics during the context; yield its ``host:port`` on 127.0.0.1."""
    settings = {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "log_level": 3}
    client = confluent_kafka.Producer(settings, logger=logger)
    broker = next(iter(client.list_topics(timeout=10).brokers.values()))
    for topic in topics.both:
        client.list_topics(topic.name, timeout=10)  # asking for a topic creates it
    yield f"{broker.host}:{broker.port}"
