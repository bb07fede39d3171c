"""Brokers of a cluster are killed, restarted and cut off: producers and the consumer go on by themselves."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from testbed.apache_kafka.local_cluster import NODES, SESSION_SECONDS
from testbed.budget import budget
from tests.faults.cluster.emitting import Emitting
from tests.faults.cluster.platform import PARTITIONS, Platform
from tests.faults.installation import Consuming

pytestmark = [pytest.mark.broker, pytest.mark.faults]

ROUNDS: Final = budget(1, 8)
# How long a producer keeps an event that no broker takes: an hour by default, or so briefly that it tells failures.
PATIENCE: Final[tuple[dict[str, str], ...]] = ({}, {}, {"delivery_timeout_ms": "4000"})


@dataclass(frozen=True, slots=True)
class Running:
    """A platform whose consumer reads while events are emitted."""

    platform: Platform
    consumer: Consuming
    emitting: Emitting

    def leader_of_any(self) -> int:
        """The node that leads some partition."""
        dice, topics = self.platform.dice, self.platform.topics
        return self.platform.nodes.leader_of(dice.choice(topics.both).name, dice.randrange(PARTITIONS))

    def some_seconds(self, least: float, most: float) -> None:
        """Let everything run on."""
        time.sleep(self.platform.dice.uniform(least, most))


def kill_a_leader(running: Running) -> None:
    """Kill a node that leads; it is started again at once, or when others have led for a while."""
    nodes = running.platform.nodes
    nodes.kill(running.leader_of_any())
    if running.platform.dice.random() < 0.5:
        running.some_seconds(1.5 * SESSION_SECONDS, 3 * SESSION_SECONDS)


def pause_a_leader(running: Running) -> None:
    """Cut a node off for longer than its session: others lead what it led, and it does not know."""
    with paused(running):
        running.some_seconds(1.2 * SESSION_SECONDS, 3 * SESSION_SECONDS)


def leave_a_leader_away(running: Running) -> None:
    """Cut a node off until all is delivered and read without it."""
    with paused(running):
        running.some_seconds(1.2 * SESSION_SECONDS, 3 * SESSION_SECONDS)
        began = time.monotonic()
        running.emitting.hold()
        assert running.platform.has_caught_up(running.consumer)
        print(f"read without it after {time.monotonic() - began:.0f} s more")  # noqa: T201 - for who counts


def kill_all(running: Running) -> None:
    """Kill all nodes, one shortly after the other."""
    dice = running.platform.dice
    for node in dice.sample(NODES, len(NODES)):
        running.platform.nodes.kill(node)
        time.sleep(dice.choice((0.0, dice.uniform(0.0, 1.0))))
    running.some_seconds(0.0, 5.0)


def restart_one_by_one(running: Running) -> None:
    """Stop each node cleanly and start it again, as for an upgrade."""
    nodes = running.platform.nodes
    for node in running.platform.dice.sample(NODES, len(NODES)):
        nodes.nodes[node].stop()
        running.some_seconds(0.0, 1.0)
        nodes.heal()


def put_one_back(running: Running) -> None:
    """Put the volume of a node back to what it was some seconds ago, while the others go on."""
    nodes = running.platform.nodes
    copy = nodes.copy()
    running.some_seconds(0.5, 3.0)
    nodes.wait_until_in_sync()
    node = running.platform.dice.choice(NODES)
    nodes.kill(node)
    nodes.put_back(copy, node)


@contextmanager
def paused(running: Running) -> Iterator[None]:
    """A node that leads is cut off while the block runs."""
    node = running.platform.nodes.nodes[running.leader_of_any()]
    node.pause()
    try:
        yield
    finally:
        node.resume()


# The first one starts no broker again, which would cost two seconds of a processor.
FAULTS: Final = (pause_a_leader, kill_a_leader, kill_all, restart_one_by_one, put_one_back, leave_a_leader_away)


@pytest.mark.parametrize("fault", FAULTS[: budget(1, len(FAULTS))], ids=lambda fault: fault.__name__)
def test_nothing_is_lost_or_doubled_and_reading_goes_on(platform: Platform, fault: Callable[[Running], None]) -> None:
    """The consumer reads all, unattended; the table has each event whose ``emit`` returned and that was not told."""
    platform.make_topics()
    for _ in range(ROUNDS):
        patience = platform.dice.choice(PATIENCE)
        with platform.consuming() as consumer, platform.emitting(**patience) as emitting:
            running = Running(platform, consumer, emitting)
            running.some_seconds(0.5, 2.0)
            fault(running)
            platform.nodes.heal()
            emitting.finish()
            assert platform.has_caught_up(consumer)
            assert consumer.end(signal.SIGTERM) == 0
        platform.compare(fault.__name__)
