"""The embedded broker of the command line's tests."""

import signal
from collections.abc import Iterator

import pytest

from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.schemas import Topics
from testbed.command import end_of, start
from tests.consumers.conftest import lakes  # noqa: F401 - a fixture of the lake's commands


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """The address that `matterlog broker` prints as its first line; stopped as a supervisor stops it."""
    process = start("broker")
    assert process.stdout is not None
    name, _, address = process.stdout.readline().decode().strip().partition("=")
    assert name == "bootstrap.servers"
    yield address
    process.send_signal(signal.SIGTERM)
    ended = end_of(process)
    assert (ended.code, ended.out) == (0, b"")
    assert ended.err.strip() == "This Kafka runs in memory and loses everything when it ends. Stop it with Ctrl-C."


@pytest.fixture
def kafka_here(embedded: str, topic_prefix: str) -> dict[str, str]:
    """The variables that name the embedded broker and a test's own topics there."""
    TopicAdmin(embedded, {}).create(Topics(topic_prefix), 1, 1)
    return {"MATTERLOG_BOOTSTRAP_SERVERS": embedded, "MATTERLOG_TOPIC_PREFIX": topic_prefix}
