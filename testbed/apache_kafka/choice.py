"""Which Kafka the tests run against: the first of three that can be had."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from testbed.apache_kafka.broker import wait_until_it_answers
from testbed.apache_kafka.docker_kafka import IMAGE, docker_kafka
from testbed.apache_kafka.jars import KAFKA_VERSION, KafkaUnavailable
from testbed.apache_kafka.local_kafka import LocalKafka

VARIABLE: Final = "MATTERLOG_TEST_BOOTSTRAP_SERVERS"


@contextlib.contextmanager
def any_kafka(named: str | None, directory: Path, tell: Callable[[str], None]) -> Iterator[str]:
    """The bootstrap servers of a broker, ended with the context unless `named` names a running one.

    A named broker that does not answer is an error, for somebody asked for it.  Otherwise a container is
    tried, then a process on `directory`.  `tell` hears, a line each, what was passed over and what is used.
    """
    with contextlib.ExitStack() as stack:
        yield _named(named, tell) or _in_container(stack, tell) or _local(stack, directory, tell)


def _named(named: str | None, tell: Callable[[str], None]) -> str | None:
    if not named:
        tell(f"not used: {VARIABLE} is not set")
        return None
    wait_until_it_answers(named)
    tell(f"used: {named}, named by {VARIABLE}")
    return named


def _in_container(stack: contextlib.ExitStack, tell: Callable[[str], None]) -> str | None:
    try:
        servers = stack.enter_context(docker_kafka())
    except KafkaUnavailable as error:
        tell(f"not used: a container, for {error.reason}")
        return None
    tell(f"used: {servers}, a container of {IMAGE}")
    return servers


def _local(stack: contextlib.ExitStack, directory: Path, tell: Callable[[str], None]) -> str:
    try:
        kafka = stack.enter_context(LocalKafka(directory))
    except KafkaUnavailable as error:
        tell(f"not used: a process of this machine, for {error.reason}")
        raise
    tell(f"used: {kafka.bootstrap_servers}, a process of this machine, Kafka {KAFKA_VERSION} from Maven's jars")
    return kafka.bootstrap_servers
