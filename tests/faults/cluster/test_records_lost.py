"""A cluster loses records that were read: the consumer says so, does not read on, and the way out works."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas.topics import Topic
from testbed.apache_kafka.local_cluster import NODES
from tests.faults.cluster.emitting import Emitting
from tests.faults.cluster.platform import COPIES, CUT, PARTITIONS, Platform
from tests.faults.installation import Consuming
from tests.topics_at_rest import make, messages_of

pytestmark = [pytest.mark.broker, pytest.mark.faults]

ROUNDS: Final = 8
# One acknowledgement is enough, and whoever is left may lead: what an operator is told not to choose.
CARELESS: Final = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}


def make_careless(platform: Platform, careless: Topic) -> None:
    """Make one topic on two nodes, careless, and the other as it should be."""
    for topic in platform.topics.both:
        copies, special = (2, CARELESS) if topic == careless else (COPIES, {})
        make(platform.nodes.bootstrap_servers, topic, partitions=PARTITIONS, copies=copies, special=special)


def emit_until_read(platform: Platform, consumer: Consuming, emitting: Emitting, seconds: float) -> None:
    """Emit for a while; return when all of it is read."""
    emitting.go_on()
    time.sleep(seconds)
    emitting.hold()
    assert platform.has_caught_up(consumer)


def elect_one_without_the_records(
    platform: Platform, consumer: Consuming, emitting: Emitting, topic: str, dice: random.Random
) -> None:
    """Have records read that one node alone has, kill it, and let the other one lead that does not have them."""
    partition = dice.randrange(PARTITIONS)
    leader = platform.nodes.leader_of(topic, partition)
    [follower] = set(platform.nodes.replicas_of(topic, partition)) - {leader}
    platform.nodes.kill(follower)
    platform.nodes.wait_until_alone(topic, partition)
    before = platform.ends()
    while platform.ends()[topic, partition] <= before[topic, partition]:
        emit_until_read(platform, consumer, emitting, dice.uniform(0.5, 3.0))
    platform.nodes.kill(leader)
    platform.nodes.start(follower)
    assert platform.nodes.leader_of(topic, partition) == follower


def reread(platform: Platform) -> str:
    """Take the documented way out; return what it says."""
    refused = platform.installation.run("consume", "--until-caught-up", "--max-dead-letters", "1")
    assert (refused.code, CUT in refused.err, "matterlog reread" in refused.err) == (1, True, True), refused.err
    done = platform.installation.run("reread")
    assert done.code == 0, done.err
    assert "was cut or created again: what it lost before it was read is not known" in done.err
    assert "The database alone holds" in done.text
    platform.installation.catch_up()
    return done.text


def unclean_election_of_views(platform: Platform) -> None:
    """Views wait alone, and deletions are applied."""
    for consumer in unclean_elections(platform, platform.topics.matter_views):
        said = consumer.errors.read_text("utf-8")
        assert consumer.process.poll() is None
        assert "views wait since" in said
        assert "Deletions are applied all the same" in said
        assert consumer.end(signal.SIGTERM) == 0


def unclean_election_of_deletions(platform: Platform) -> None:
    """Nothing is read on, since views of deleted matters would come back."""
    for consumer in unclean_elections(platform, platform.topics.matter_deletions):
        assert consumer.process.wait(60) == 1


def unclean_elections(platform: Platform, careless: Topic) -> Iterator[Consuming]:
    """Yield the consumer each time that it has said that a topic was cut."""
    dice = platform.dice
    make_careless(platform, careless)
    for _ in range(ROUNDS):
        with platform.consuming() as consumer, platform.emitting() as emitting:
            emit_until_read(platform, consumer, emitting, 1.0)
            elect_one_without_the_records(platform, consumer, emitting, careless.name, dice)
            emitting.go_on()
            time.sleep(dice.uniform(0.0, 5.0))
            platform.wait_until_told(consumer)
            platform.nodes.heal()
            emitting.finish()
            yield consumer
        reread(platform)
        platform.compare("cut")


def put_back_while_all_are_down(platform: Platform, copy: Path, *numbers: int) -> None:
    """Kill all nodes, put volumes back to a copy, and start all nodes."""
    platform.nodes.kill(*NODES)
    platform.nodes.put_back(copy, *numbers)
    platform.nodes.heal()


def put_the_cluster_back(platform: Platform) -> None:
    """Whatever it holds by the time the consumer sees it: a running one, or one that starts again."""
    dice = platform.dice
    platform.make_topics()
    for _ in range(ROUNDS):
        runs = dice.random() < 0.5
        with platform.consuming() as consumer, platform.emitting() as emitting:
            emit_until_read(platform, consumer, emitting, 1.0)
            copy = platform.nodes.copy()
            emit_until_read(platform, consumer, emitting, dice.uniform(0.5, 3.0))
            if not runs:
                assert consumer.end(signal.SIGTERM) == 0
            put_back_while_all_are_down(platform, copy, *NODES)
            emitting.go_on()
            time.sleep(dice.uniform(0.0, 5.0))
            if runs:
                platform.wait_until_told(consumer)
                consumer.end(signal.SIGTERM)
            emitting.finish()
        reread(platform)
        platform.compare("cut")


def put_one_back_while_all_are_down(platform: Platform) -> None:
    """It may come back as the leader of its partitions, without records that the other nodes have."""
    dice = platform.dice
    platform.make_topics()
    for _ in range(ROUNDS):
        earlier = emitted_keys(platform)
        with platform.consuming() as consumer, platform.emitting() as emitting:
            emit_until_read(platform, consumer, emitting, 1.0)
            copy = platform.nodes.copy()
            emit_until_read(platform, consumer, emitting, 3.0)
            put_back_while_all_are_down(platform, copy, dice.choice(NODES))
            emitting.go_on()
            time.sleep(dice.uniform(0.0, 5.0))
            emitting.finish()
            is_whole = platform.has_caught_up(consumer)
            consumer.end(signal.SIGTERM)
        if is_whole:
            assert emitted_keys(platform) - earlier <= keys_in_topics(platform)
        else:
            reread(platform)
        platform.compare("whole" if is_whole else "cut")


def emitted_keys(platform: Platform) -> set[str]:
    """The keys of all events that were emitted and not told as failures."""
    views, deletions, failed = platform.emitted.views, platform.emitted.deletions, platform.emitted.failed
    return {str(each) for each in views.keys() - failed.keys()} | {
        deletions[each] for each in deletions.keys() - failed.keys()
    }


def keys_in_topics(platform: Platform) -> set[str]:
    """The keys of all records in both topics."""
    messages = [
        each for topic in platform.topics.both for each in messages_of(platform.installation.servers, topic.name)
    ]
    return {key.decode() for each in messages if isinstance(key := each.key(), bytes)}


LOSSES: Final = (
    unclean_election_of_views,
    unclean_election_of_deletions,
    put_the_cluster_back,
    put_one_back_while_all_are_down,
)


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_lost_records_are_told_and_nothing_that_was_read_is_lost(
    platform: Platform, lose: Callable[[Platform], None]
) -> None:
    """The topic is not read on, and what is documented then brings everything that was read together again."""
    lose(platform)
