"""The server properties of every broker in the tests."""

from collections.abc import Mapping, Sequence
from typing import Final

FOR_TESTS: Final[Mapping[str, str]] = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker may join again when its old session has ended: after 2 s instead of 9 s.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # A controller without work writes nothing: by default a record each half second, half of what an idle broker costs.
    "metadata.max.idle.interval.ms": "0",
    # One broker has all of Kafka's own topics.
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Compaction and retention run soon enough for a test. Segments that they replace are deleted at once.
    "log.cleaner.enable": "true",
    "log.cleaner.backoff.ms": "1000",
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "2000",
    "log.segment.delete.delay.ms": "1000",
    # Two files for each partition have this size at once, and tests copy them.
    "log.index.size.max.bytes": "65536",
}

# What differs in a cluster: each record is on all of its three nodes, and acknowledged when it is on two.
FOR_CLUSTERS: Final[Mapping[str, str]] = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    # Three nodes share a machine with others: a session of 2 s would end now and then without a fault.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "1000",
}


def server_properties(
    *, bind: str, advertised: str, port: int, controller_ports: Mapping[int, int], node: int = 1
) -> dict[str, str]:
    """Return the properties of a node that is broker and controller. Clients use the host `advertised`.

    `controller_ports` are those of all nodes, by their numbers.
    """
    controller_port = controller_ports[node]
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": ",".join(f"{each}@127.0.0.1:{its}" for each, its in controller_ports.items()),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "BROKER",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listeners": f"BROKER://{bind}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"BROKER://{advertised}:{port}",
        **FOR_TESTS,
    }


def rights_properties(
    users: Sequence[str], *, host: str, port: int, open_port: int, controller_port: int
) -> dict[str, str]:
    """Return the properties of a node that asks for a right in all that these users do, on a listener of their own.

    A user's password is its name. Whoever comes to `open_port` names nobody and may do everything.
    """
    known = " ".join(f'user_{user}="{user}"' for user in users)
    return {
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,USERS:SASL_PLAINTEXT",
        "listeners": f"BROKER://{host}:{open_port},USERS://{host}:{port},CONTROLLER://{host}:{controller_port}",
        "advertised.listeners": f"BROKER://{host}:{open_port},USERS://{host}:{port}",
        "listener.name.users.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.users.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {known};"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
