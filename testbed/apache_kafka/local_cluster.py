"""A cluster of three Kafka nodes as processes on this machine: each is broker and controller.

1. The rules of `local_kafka.py` hold for each node. Two nodes must run for the cluster to answer.
2. No client's connection takes the port of a node that is down: such ports are never given to clients.
3. A node that was paused believes for a moment what it knew before. So what the cluster says of itself counts once it
   has said so for a while.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, PartitionMetadata  # type: ignore[attr-defined]

from testbed.apache_kafka.broker import BrokerFailed, free_ports, wait_until_it_answers
from testbed.apache_kafka.local_kafka import LocalKafka
from testbed.apache_kafka.settings import FOR_CLUSTERS

NODES: Final = (1, 2, 3)
# After this long without a sign of life a node leads nothing any more.
SESSION_SECONDS: Final = int(FOR_CLUSTERS["broker.session.timeout.ms"]) / 1000
PATIENCE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.2
_STEADY_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0
_QUESTIONS: Final[dict[str, str | int | float | bool]] = {
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 200,
    "socket.timeout.ms": 2000,  # a paused node answers nothing
    "log_level": 0,  # refused connections are expected here
}


class LocalCluster:
    """Three nodes, numbered from 1, with their data below one directory."""

    def __init__(self, directory: Path) -> None:
        """Prepare the nodes."""
        self._directory = directory.resolve()
        ports = free_ports(2 * len(NODES))
        controllers = dict(zip(NODES, ports[len(NODES) :], strict=True))
        self.nodes = {
            node: LocalKafka(
                self._directory / f"node-{node}",
                port=port,
                properties=FOR_CLUSTERS,
                node=node,
                controller_ports=controllers,
            )
            for node, port in zip(NODES, ports, strict=False)
        }

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes for clients."""
        return ",".join(node.bootstrap_servers for node in self.nodes.values())

    @property
    def running(self) -> list[int]:
        """The nodes whose processes run, paused or not."""
        return [number for number, node in self.nodes.items() if node.pid is not None]

    def start(self, *numbers: int) -> None:
        """Start nodes; wait until they answer. The others may believe that a node runs which was just killed."""
        for number in numbers:
            self.nodes[number].launch()
        for number in numbers:
            node = self.nodes[number]
            wait_until_it_answers(node.bootstrap_servers, between_tries=node.require_alive)

    def heal(self) -> None:
        """Have all nodes run, and each record on all nodes that its topic names."""
        for node in self.nodes.values():
            node.resume()
        self.start(*(number for number in NODES if number not in self.running))
        self.wait_until_in_sync()

    def kill(self, *numbers: int) -> None:
        """Kill nodes, as a power cut would."""
        for number in numbers:
            self.nodes[number].kill()

    def leader_of(self, topic: str, partition: int) -> int:
        """Return the node that leads a partition; wait until one does."""
        return int(self._partition(topic, partition, lambda found: found.leader in self.running).leader)

    def replicas_of(self, topic: str, partition: int) -> Sequence[int]:
        """Return the nodes that have a partition."""
        return list(self._partition(topic, partition, lambda found: found.leader >= 0).replicas)

    def wait_until_in_sync(self) -> None:
        """Wait until all that run are brokers, and each partition is on all of its nodes."""
        self.wait_until(lambda found: sorted(found.brokers) == self.running and not _behind(found))

    def wait_until_alone(self, topic: str, partition: int) -> None:
        """Wait until a partition's leader counts on no other node."""
        self._partition(topic, partition, lambda found: list(found.isrs) == [found.leader])

    def wait_until(self, so: Callable[[ClusterMetadata], bool]) -> ClusterMetadata:
        """Return what the cluster says of itself once that satisfies `so` for a while.

        Raises:
            BrokerFailed: a node has ended by itself, or it takes too long.
        """
        deadline, since, found = time.monotonic() + PATIENCE_SECONDS, 0.0, None
        client = AdminClient(_QUESTIONS | {"bootstrap.servers": self.bootstrap_servers})
        while time.monotonic() < deadline:
            for number in self.running:
                self.nodes[number].require_alive()
            try:
                found = client.list_topics(timeout=_ANSWER_SECONDS)
            except KafkaException:
                found = None
            if found is None or not so(found):
                since = 0.0
            elif not since:
                since = time.monotonic()
            elif time.monotonic() - since > _STEADY_SECONDS:
                return found
            time.sleep(_LOOK_SECONDS)
        raise BrokerFailed(f"the cluster was not as expected within {PATIENCE_SECONDS:.0f} s: {_described(found)}")

    def copy(self) -> Path:
        """Copy the data of all nodes at one moment, as snapshots of their volumes, in the place of an earlier copy."""
        folder = self._directory / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        for node in self.nodes.values():
            node.pause()
        try:
            for number, node in self.nodes.items():
                shutil.copytree(node.log_dir, folder / str(number))
        finally:
            for node in self.nodes.values():
                node.resume()
        return folder

    def put_back(self, copy: Path, *numbers: int) -> None:
        """Put the data of nodes that do not run back to a copy."""
        for number in numbers:
            node = self.nodes[number]
            assert node.pid is None
            shutil.rmtree(node.log_dir)
            shutil.copytree(copy / str(number), node.log_dir)

    def _partition(self, topic: str, partition: int, so: Callable[[PartitionMetadata], bool]) -> PartitionMetadata:
        def holds(found: ClusterMetadata) -> bool:
            known = topic in found.topics and partition in found.topics[topic].partitions
            return known and so(found.topics[topic].partitions[partition])

        return self.wait_until(holds).topics[topic].partitions[partition]


def _behind(found: ClusterMetadata) -> list[str]:
    """The partitions that are not on all of their nodes, or that nobody leads."""
    return [
        f"{topic.topic} [{number}]"
        for topic in found.topics.values()
        for number, each in topic.partitions.items()
        if each.leader < 0 or sorted(each.isrs) != sorted(each.replicas)
    ]


def _described(found: ClusterMetadata | None) -> str:
    return "no answer" if found is None else f"brokers {sorted(found.brokers)}, not in sync {_behind(found)}"
