"""A real Apache Kafka for tests: from Maven's jars, or from a container.

`LocalKafka` is a process on this machine that a test may stop, kill and inspect. `LocalCluster` is three of them.
`any_kafka` is the first available broker: one named by the environment, a container, or a `LocalKafka`.

Errors:

* `KafkaUnavailable`: this machine lacks something that a broker needs (Java, Maven, the jars, a Docker daemon,
  an image). Tests skip.
* `BrokerFailed`: a broker was requested and died or did not answer. Tests fail.
"""

from testbed.apache_kafka.broker import BrokerFailed
from testbed.apache_kafka.choice import any_kafka
from testbed.apache_kafka.jars import KAFKA_VERSION, KafkaUnavailable, fetch_jars
from testbed.apache_kafka.local_cluster import LocalCluster
from testbed.apache_kafka.local_kafka import LocalKafka

__all__ = ["KAFKA_VERSION", "BrokerFailed", "KafkaUnavailable", "LocalCluster", "LocalKafka", "any_kafka", "fetch_jars"]
