"""Creating both topics with the settings that purges and rebuilds need, and reading their settings."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError
from confluent_kafka.admin import AclOperation, ConfigResource  # type: ignore[attr-defined]  # it is documented there
from confluent_kafka.cimpl import NewTopic

from matterlog.app.topics.topics_check import KafkaSettings
from matterlog.consumers.errors import BrokerUnavailable, ConsumerError, RightMissing, TopicMissing
from matterlog.consumers.reading.kafka_topics import ANSWER_SECONDS, EMBEDDED_CLUSTER, first_answer, topic_error
from matterlog.schemas import Topics
from matterlog.schemas.kafka_rights import CLUSTER
from matterlog.schemas.topics import Topic

# With three copies, two must be written before a message counts as stored.
_COPIES_FOR_A_QUORUM: Final = 3
# The time after which the broker compacts a record at the latest; its default, 2**63 - 1, means never.
COMPACTION_LAG: Final = "max.compaction.lag.ms"
_Answer = TypeVar("_Answer")


class TopicAdmin:
    """An administrator's connection to a Kafka cluster.

    Args:
        bootstrap_servers: ``host:port``, several with commas.
        settings: further librdkafka settings by name.
        answer_seconds: how long to wait for an answer from Kafka.

    Raises:
        BrokerUnavailable, ConsumerError: as ``first_answer``.
    """

    def __init__(
        self, bootstrap_servers: str, settings: Mapping[str, str], answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._answer_seconds = answer_seconds
        self._client, self._metadata = first_answer(bootstrap_servers, settings, answer_seconds)

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded broker, which creates topics by itself and takes no administrative request."""
        return str(self._metadata.cluster_id).startswith(EMBEDDED_CLUSTER)

    def create(self, topics: Topics, partitions: int, replication_factor: int) -> dict[str, bool]:
        """Create both topics; return for each whether it is new. An existing topic is left unchanged.

        Raises:
            BrokerUnavailable: Kafka does not answer or refuses.
            RightMissing: the user may not create one of them.
        """
        if self.is_embedded:
            return {
                topic.name: False for topic in topics.both if self._client.list_topics(topic.name, self._answer_seconds)
            }
        new = [_new_topic(topic, partitions, replication_factor) for topic in topics.both]
        made = {}
        for name, future in self._client.create_topics(new, operation_timeout=self._answer_seconds).items():
            try:
                future.result()
                made[name] = True
            except confluent_kafka.KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._failed(error, "Create", name) from error
                made[name] = False
        return made

    def configuration_of(self, topic: str) -> dict[str, str]:
        """Return a topic's settings, including the broker's defaults for topics.

        Raises:
            BrokerUnavailable, RightMissing, TopicMissing: Kafka does not answer or refuses.
        """
        return self._describe(ConfigResource(ConfigResource.Type.TOPIC, topic), topic)

    def settings(self, topics: Topics) -> KafkaSettings:
        """Return the settings of topics and brokers, and what could not be asked.

        Raises:
            BrokerUnavailable: Kafka does not answer or refuses.
        """
        not_asked: dict[str, None] = {}

        def answer(ask: Callable[[], _Answer]) -> _Answer | None:
            try:
                return ask()
            except (RightMissing, TopicMissing) as error:
                not_asked[str(error)] = None
                return None

        views, deletions = (topic.name for topic in topics.both)
        return KafkaSettings(
            views=answer(lambda: self.configuration_of(views)),
            deletions=answer(lambda: self.configuration_of(deletions)),
            brokers=answer(lambda: {each: self._configuration_of_broker(each) for each in self._metadata.brokers}),
            may_write_views=answer(lambda: self._may_write(views)),
            not_asked=tuple(not_asked),
        )

    def _may_write(self, topic: str) -> bool:
        names = confluent_kafka.TopicCollection([topic])
        asked = self._client.describe_topics(
            names, include_authorized_operations=True, request_timeout=self._answer_seconds
        )
        try:
            operations = asked[topic].result().authorized_operations
        except confluent_kafka.KafkaException as error:
            # Kafka shows a topic to everybody who may do anything with it: this user may not write to it either.
            raise self._failed(error, "Write", topic) from error
        # None: the broker does not know.
        return operations is None or AclOperation.WRITE in operations

    def _configuration_of_broker(self, number: int) -> dict[str, str]:
        return self._describe(ConfigResource(ConfigResource.Type.BROKER, str(number)), CLUSTER)

    def _describe(self, resource: ConfigResource, name: str) -> dict[str, str]:
        [future] = self._client.describe_configs([resource], request_timeout=self._answer_seconds).values()
        try:
            return {setting: str(entry.value) for setting, entry in future.result().items()}
        except confluent_kafka.KafkaException as error:
            raise self._failed(error, "DescribeConfigs", name) from error

    def _failed(self, error: confluent_kafka.KafkaException, right: str, name: str) -> ConsumerError:
        """Return what Kafka's refusal means; ``name`` is the topic's, or ``CLUSTER``."""
        reason = error.args[0]
        if reason.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
            return RightMissing(right, CLUSTER)
        text = f"Kafka at {self._bootstrap_servers} failed the request: {reason.str()}"
        return topic_error(reason, right, name) or BrokerUnavailable(text)


def _new_topic(topic: Topic, partitions: int, replication_factor: int) -> NewTopic:
    quorum = "2" if replication_factor >= _COPIES_FOR_A_QUORUM else "1"
    configuration = {**dict(topic.configuration), "min.insync.replicas": quorum}
    return NewTopic(topic.name, num_partitions=partitions, replication_factor=replication_factor, config=configuration)
