"""One cluster for all of these tests: three brokers cost as much to start as a test."""

import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from matterlog.schemas import Topics
from testbed.apache_kafka import LocalCluster
from testbed.apache_kafka.local_cluster import NODES
from testbed.budget import budget
from tests.faults.cluster.platform import Platform
from tests.faults.installation import Installation
from tests.topics_at_rest import remove_topics

# Each loss takes half a minute, so ``make test`` leaves them out: it has losses of one broker in their place.
collect_ignore = [] if budget(0, 1) else ["test_records_lost.py"]


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
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    made = Platform(nodes, Installation(nodes.bootstrap_servers, Topics(topic_prefix), tmp_path), dice)
    yield made
    nodes.heal()
    remove_topics(nodes.bootstrap_servers, made.topics)
