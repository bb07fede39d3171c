"""One cluster for all of these tests: three brokers cost as much to start as a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from matterlog.schemas import Topics
from testbed.apache_kafka import LocalCluster
from testbed.apache_kafka.local_cluster import NODES
from tests.faults.cluster.platform import Platform
from tests.faults.installation import Installation
from tests.topics_at_rest import remove_topics


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory, kafka_jars: Path) -> Iterator[LocalCluster]:  # noqa: ARG001 - skips without
    """The nodes, which a test leaves as it wants."""
    made = LocalCluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made
    finally:
        made.kill(*NODES)


@pytest.fixture
def platform(nodes: LocalCluster, topic_prefix: str, tmp_path: Path) -> Iterator[Platform]:
    """All nodes run; no topics yet."""
    nodes.heal()
    made = Platform(nodes, Installation(nodes.bootstrap_servers, Topics(topic_prefix), tmp_path))
    yield made
    nodes.heal()
    remove_topics(nodes.bootstrap_servers, made.topics)
