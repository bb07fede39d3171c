"""The offsets of the consumer group, which only lag tools use: reading starts at the database's positions.

1. A failure to commit them is only logged.
2. The user may lack the right on the group. That is told once.
3. A commit that waits for the group's broker would hold up ``assign()`` and ``close()``, so that broker has to have
   answered this client before the first one.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

import confluent_kafka
from confluent_kafka import KafkaError

from matterlog.consumers.reading.records import Move
from matterlog.schemas.kafka_rights import missing_right

logger = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 5.0
_ASK_AGAIN_SECONDS: Final = 60.0


class GroupOffsets:
    """Commits the group's offsets.

    Args:
        group: the group's name.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._refused = self._told = False
        # The client whose group has answered, and when to ask the next time.
        self._answered: confluent_kafka.Consumer | None = None
        self._ask_at = 0.0

    def note(self, error: KafkaError | None, _partitions: Sequence[confluent_kafka.TopicPartition] = ()) -> bool:
        """Say whether an error means that the user may not commit. The client calls this inside a call of ours."""
        refused = error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        self._refused = self._refused or refused
        return refused

    def commit(self, consumer: confluent_kafka.Consumer, moves: Sequence[Move]) -> None:
        """Commit the ends of these moves, unless the group's broker refuses that or does not answer."""
        if self._refused and not self._told:
            needed = missing_right("Read", f"group {self._group}")
            logger.warning("the group's offsets, which only lag tools use, are not committed: %s", needed)
            self._told = True
        if not self._refused and self._answers(consumer, moves):
            offsets = [
                confluent_kafka.TopicPartition(each.topic, each.partition, each.ends.next_offset) for each in moves
            ]
            try:
                consumer.commit(offsets=offsets, asynchronous=True)
            except confluent_kafka.KafkaException as error:
                logger.warning("the group's offsets were not committed: %s", error)

    def _answers(self, consumer: confluent_kafka.Consumer, moves: Sequence[Move]) -> bool:
        if self._answered is not consumer and time.monotonic() >= self._ask_at:
            asked = [confluent_kafka.TopicPartition(each.topic, each.partition) for each in moves]
            try:
                consumer.committed(asked, timeout=_ANSWER_SECONDS)
            except confluent_kafka.KafkaException as error:
                self._ask_at = time.monotonic() + _ASK_AGAIN_SECONDS
                logger.debug("the group's offsets are not committed yet: %s", error)
            else:
                self._answered = consumer
        return self._answered is consumer
