"""Brokers of a cluster are killed, restarted and cut off: producers and the consumer go on by themselves."""

import random
import signal
import time
from collections.abc import Callable
from typing import Final

import pytest

from testbed.apache_kafka.local_cluster import NODES, SESSION_SECONDS
from testbed.budget import budget
from tests.faults.cluster.platform import PARTITIONS, Platform

pytestmark = [pytest.mark.broker, pytest.mark.faults]

ROUNDS: Final = budget(1, 8)
# How long a producer keeps an event that no broker takes: an hour by default, or so briefly that it tells failures.
PATIENCE: Final[tuple[dict[str, str], ...]] = ({}, {}, {"delivery_timeout_ms": "4000"})


def kill_a_leader(platform: Platform, dice: random.Random) -> None:
    """Kill the leader of some partition; start it again when another one leads, or at once."""
    topic, partition = dice.choice(platform.topics.both).name, dice.randrange(PARTITIONS)
    leader = platform.nodes.leader_of(topic, partition)
    platform.nodes.kill(leader)
    if dice.random() < 0.5:
        assert platform.nodes.leader_of(topic, partition) != leader
        time.sleep(dice.uniform(0.0, 3.0))


def kill_all(platform: Platform, dice: random.Random) -> None:
    """Kill all nodes, one shortly after the other."""
    for node in dice.sample(NODES, len(NODES)):
        platform.nodes.kill(node)
        time.sleep(dice.choice((0.0, dice.uniform(0.0, 1.0))))
    time.sleep(dice.uniform(0.0, 5.0))


def restart_one_by_one(platform: Platform, dice: random.Random) -> None:
    """Stop each node cleanly and start it again, as for an upgrade."""
    for node in dice.sample(NODES, len(NODES)):
        platform.nodes.nodes[node].stop()
        time.sleep(dice.uniform(0.0, 1.0))
        platform.nodes.heal()


def pause_one(platform: Platform, dice: random.Random) -> None:
    """Cut a node off for longer than its session: others lead what it led, and it does not know."""
    topic, partition = dice.choice(platform.topics.both).name, dice.randrange(PARTITIONS)
    paused = platform.nodes.nodes[platform.nodes.leader_of(topic, partition)]
    paused.pause()
    time.sleep(SESSION_SECONDS * dice.uniform(1.2, 3.0))
    paused.resume()


def put_one_back(platform: Platform, dice: random.Random) -> None:
    """Put the volume of a node back to what it was some seconds ago, while the others go on."""
    copy = platform.nodes.copy()
    time.sleep(dice.uniform(0.5, 3.0))
    platform.nodes.wait_until_in_sync()
    node = dice.choice(NODES)
    platform.nodes.kill(node)
    platform.nodes.put_back(copy, node)


FAULTS: Final = (kill_a_leader, pause_one, kill_all, restart_one_by_one, put_one_back)
SHORT: Final = FAULTS[:2]


@pytest.mark.parametrize("fault", FAULTS[: budget(len(SHORT), len(FAULTS))], ids=lambda fault: fault.__name__)
def test_nothing_is_lost_or_doubled_and_reading_goes_on(
    platform: Platform, fault: Callable[[Platform, random.Random], None]
) -> None:
    """The consumer reads all, unattended; the table has each event whose ``emit`` returned and that was not told."""
    dice = platform.dice
    platform.make_topics()
    for _ in range(ROUNDS):
        with platform.consuming() as consumer, platform.emitting(**dice.choice(PATIENCE)) as emitting:
            time.sleep(dice.uniform(0.5, 2.0))
            fault(platform, dice)
            platform.nodes.heal()
            emitting.finish()
            assert platform.has_caught_up(consumer)
            assert consumer.end(signal.SIGTERM) == 0
        platform.compare(fault.__name__)
