"""Questions to Kafka about topics: their partitions, IDs and ends, and the timestamps of single records."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]  # it is documented there

from matterlog.consumers.errors import BrokerUnavailable, ConsumerError, ReadingFailed, RightMissing, TopicMissing
from matterlog.consumers.reading.messages import partition_of, position_behind, take_portion
from matterlog.consumers.reading.records import Position, TopicPartition

logger = logging.getLogger(__name__)

# How long to wait for Kafka's answer.
ANSWER_SECONDS: Final = 15.0
# When to say that the first answer is late, and how often to look then whether it is still wanted.
_SAY_AFTER_SECONDS: Final = 0.5
_LOOK_EVERY_SECONDS: Final = 4.0
_FIRST_LOOK_SECONDS: Final = 0.1
_ASK_AGAIN_SECONDS: Final = 0.1
_PASSES: Final = (KafkaError._TRANSPORT, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001 - a broker goes, or is back
# What Kafka says where an offset has no record, and none behind it.
_NO_RECORD: Final = {
    KafkaError._PARTITION_EOF,  # noqa: SLF001 - the client's name for it
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - as above
    KafkaError.OFFSET_OUT_OF_RANGE,
}
_REFUSED: Final = KafkaError.TOPIC_AUTHORIZATION_FAILED
# How librdkafka's in-memory cluster calls itself; it answers no administrative request.
EMBEDDED_CLUSTER: Final = "mockCluster"
_Answer = TypeVar("_Answer")


def first_answer(
    bootstrap_servers: str,
    settings: Mapping[str, str],
    answer_seconds: float,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[AdminClient, ClusterMetadata]:
    """Ask Kafka which topics it has. Say so once if the answer is late.

    Args:
        bootstrap_servers: ``host:port``, several separated by commas.
        settings: further librdkafka settings by name.
        answer_seconds: how long to wait for the answer.
        stopped: says that nobody waits any more.

    Returns:
        The client that asked, and the answer.

    Raises:
        BrokerUnavailable: Kafka does not answer, or refuses the user's name or password.
        ConsumerError: librdkafka refuses the settings.
    """
    refusals: list[str] = []

    def note(error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:  # noqa: SLF001 - the client's name for it
            refusals.append(error.str())

    configuration: dict[str, Any] = {**settings, "bootstrap.servers": bootstrap_servers, "error_cb": note}
    try:
        client = AdminClient(configuration, logger=logger)
    except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
        raise ConsumerError(f"the Kafka client refuses the settings: {error}") from error
    deadline, seconds = time.monotonic() + answer_seconds, _SAY_AFTER_SECONDS
    while True:
        try:
            return client, client.list_topics(timeout=max(0.0, min(seconds, deadline - time.monotonic())))
        except confluent_kafka.KafkaException as error:
            client.poll(0)  # calls note
            if refusals:
                text = f"Kafka at {bootstrap_servers} refuses the user's name or password: {refusals[0]}"
                raise BrokerUnavailable(text) from error
            if time.monotonic() >= deadline or stopped():
                text = f"no answer from Kafka at {bootstrap_servers}: {error.args[0].str()}"
                raise BrokerUnavailable(text) from error
            if seconds == _SAY_AFTER_SECONDS:
                logger.warning("Kafka at %s does not answer yet", bootstrap_servers)
        seconds = min(2 * seconds, _LOOK_EVERY_SECONDS)


class KafkaTopics:
    """Topic metadata, read through a Kafka consumer that reads no records meanwhile.

    Args:
        consumer: the Kafka client that reads the records.
        bootstrap_servers: ``host:port``, several separated by commas.
        settings: further librdkafka settings by name, for requests that need an admin client.
        answer_seconds: how long to wait for Kafka's answer.
    """

    def __init__(
        self,
        consumer: confluent_kafka.Consumer,
        bootstrap_servers: str,
        settings: Mapping[str, str],
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._consumer = consumer
        self._bootstrap_servers = bootstrap_servers
        self._settings = settings
        self._answer_seconds = answer_seconds

    def partitions(self, names: Sequence[str], right: str) -> list[TopicPartition]:
        """Return the partitions of these topics.

        Args:
            names: the topics.
            right: what the user has to have on them: ``Read``, which includes ``Describe``, or ``Describe``.

        Raises:
            BrokerUnavailable, RightMissing, TopicMissing
        """
        partitions = []
        for name in names:
            found = self._answer(partial(self._consumer.list_topics, name), right).topics[name]
            if found.error is not None:
                raise topic_error(found.error, right, name) or BrokerUnavailable(
                    f"topic {name}: {found.error.str()}", name
                )
            partitions += [(name, number) for number in sorted(found.partitions)]
        return partitions

    def ids(self, names: Sequence[str]) -> dict[str, str | None]:
        """Return the topics' IDs. A topic that is created again has a new ID. None: the broker has no topic IDs.

        Raises:
            BrokerUnavailable, RightMissing, TopicMissing
        """
        cluster = self._answer(partial(self._consumer.list_topics, names[0])).cluster_id
        if str(cluster).startswith(EMBEDDED_CLUSTER):
            return dict.fromkeys(names)
        return {name: self._answer(partial(self._id_of, name), topic=name) for name in names}

    def _id_of(self, name: str, timeout: float) -> str:
        admin = AdminClient({**self._settings, "bootstrap.servers": self._bootstrap_servers}, logger=logger)
        described = admin.describe_topics(confluent_kafka.TopicCollection([name]), request_timeout=timeout)
        return str(described[name].result().topic_id)

    def watermarks(
        self, partitions: Sequence[TopicPartition], right: str = "Read"
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset and the end of each partition.

        Args:
            partitions: the partitions.
            right: what the user has to have on their topics; see ``partitions``.

        Raises:
            BrokerUnavailable, RightMissing, TopicMissing
        """
        return {partition: self._watermarks_of(partition, right) for partition in partitions}

    def _watermarks_of(self, partition: TopicPartition, right: str) -> tuple[int, int]:
        asked = partial(self._consumer.get_watermark_offsets, confluent_kafka.TopicPartition(*partition))
        return self._answer(asked, right, partition[0])

    def _answer(self, ask: Callable[..., _Answer], right: str = "Read", topic: str | None = None) -> _Answer:
        """Ask Kafka, and ask again while a broker goes away or comes back, for as long as an answer is waited for."""
        deadline = time.monotonic() + self._answer_seconds
        while True:
            try:
                return ask(timeout=max(0.0, deadline - time.monotonic()))
            except confluent_kafka.KafkaException as error:
                if error.args[0].code() not in _PASSES or time.monotonic() >= deadline:
                    raise self._failure(error, right, topic) from error
                time.sleep(_ASK_AGAIN_SECONDS)

    def records_at(self, wanted: Mapping[TopicPartition, int]) -> dict[TopicPartition, Position]:
        """Read one record of each partition, by its offset, and return the position behind it; a record may be gone.

        Raises:
            BrokerUnavailable: Kafka did not say of each whether it is there.
            RightMissing
        """
        self._consumer.assign(
            [confluent_kafka.TopicPartition(*partition, offset) for partition, offset in wanted.items()]
        )
        found: dict[TopicPartition, Position] = {}
        seen: set[TopicPartition] = set()
        deadline = time.monotonic() + self._answer_seconds
        while (unseen := wanted.keys() - seen) and time.monotonic() < deadline:
            for message in take_portion(self._consumer, len(wanted), _FIRST_LOOK_SECONDS):
                partition, error = partition_of(message), message.error()
                if error is None and partition not in seen and message.offset() == wanted[partition]:
                    found[partition] = position_behind(message)
                if error is None or error.code() in _NO_RECORD:
                    seen.add(partition)
                elif error.code() == _REFUSED:
                    raise RightMissing("Read", f"topic {partition[0]}")
        self._consumer.unassign()
        if unseen:
            topic, number = min(unseen)
            raise BrokerUnavailable(
                f"no answer from Kafka at {self._bootstrap_servers}: the record at {topic} [{number}] @ "
                f"{wanted[topic, number]} cannot be read",
                topic,
            )
        return found

    def _failure(
        self, error: confluent_kafka.KafkaException, right: str = "Read", topic: str | None = None
    ) -> ReadingFailed:
        """Return why a question was not answered. The client may know a topic's error before it asks the broker."""
        found = error.args[0]
        if not isinstance(found, KafkaError):
            return BrokerUnavailable(f"no answer from Kafka at {self._bootstrap_servers}: {error}", topic)
        known = None if topic is None else topic_error(found, right, topic)
        return known or BrokerUnavailable(f"no answer from Kafka at {self._bootstrap_servers}: {found.str()}", topic)


def topic_error(error: KafkaError, right: str, topic: str) -> ReadingFailed | None:
    """Return what Kafka's answer about a topic means: a right is missing, or the topic; None for anything else.

    Kafka says of a topic that a user must not know whether there is one that the right is missing.
    """
    if error.code() == _REFUSED:
        return RightMissing(right, f"topic {topic}")
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return TopicMissing(f"topic {topic}: {error.str()}. Create it with: matterlog topics create", topic)
    return None


def raise_or_wait(error: KafkaError, topic: str | None) -> None:
    """Raise what waiting does not cure.

    Raises:
        RightMissing, BrokerUnavailable
    """
    if error.code() == _REFUSED:
        raise RightMissing("Read", f"topic {topic}")
    if error.fatal() or (not error.retriable() and error.code() >= 0):
        place = "" if topic is None else f" about topic {topic}"
        raise BrokerUnavailable(f"Kafka reports an error{place}: {error.str()}", topic)
    logger.warning("Kafka: %s", error.str())
