"""The choice of the Kafka that the tests use: the first available of three."""

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
def any_kafka(named: str | None, directory: Path, report: Callable[[str], None]) -> Iterator[str]:
    """Yield the bootstrap servers of a broker, which stops at the end of the context unless it is the `named` one.

    A named broker that does not answer is an error, because it was asked for. Otherwise this tries a container, then a
    process with its data in `directory`. `report` is called with a line for each broker: skipped, or in use.
    """
    with contextlib.ExitStack() as stack:
        yield _named(named, report) or _in_container(stack, report) or _local(stack, directory, report)


def _named(named: str | None, report: Callable[[str], None]) -> str | None:
    if not named:
        report(f"not used: {VARIABLE} is not set")
        return None
    wait_until_it_answers(named)
    report(f"used: {named}, named by {VARIABLE}")
    return named


def _in_container(stack: contextlib.ExitStack, report: Callable[[str], None]) -> str | None:
    try:
        servers = stack.enter_context(docker_kafka())
    except KafkaUnavailable as error:
        report(f"not used: a container, because {error.reason}")
        return None
    report(f"used: {servers}, a container of {IMAGE}")
    return servers


def _local(stack: contextlib.ExitStack, directory: Path, report: Callable[[str], None]) -> str:
    try:
        kafka = stack.enter_context(LocalKafka(directory))
    except KafkaUnavailable as error:
        report(f"not used: a process on this machine, because {error.reason}")
        raise
    report(f"used: {kafka.bootstrap_servers}, a process on this machine, Kafka {KAFKA_VERSION} from Maven's jars")
    return kafka.bootstrap_servers
