"""Greenlets in the place of threads: gevent's work, and eventlet's are refused by name."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

from matterlog.producers import InvalidSettings, KafkaProducer
from matterlog.schemas import Topics
from tests.topics_at_rest import make_topics, messages_of

ROOT: Final = Path(__file__).parents[2]


def test_greenlets_emit_and_wait_without_stopping_one_another(kafka: str, topic_prefix: str) -> None:
    """Everything arrives, deletions are acknowledged, and a broker that is away holds up who waits for it alone."""
    topics = Topics(topic_prefix)
    make_topics(kafka, topics)
    command = [sys.executable, "-m", "tests.producers.green_app", kafka, topic_prefix]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    emitted = sorted(ran.stdout.split())
    assert len(emitted) == 500
    assert sorted(bytes(each.key() or b"").decode() for each in messages_of(kafka, topics.matter_views.name)) == emitted
    assert len(messages_of(kafka, topics.matter_deletions.name)) == 5


def test_eventlets_threads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Librdkafka waits in C, where none of them can be switched. A stand-in: eventlet is no dependency of the tests."""
    patched = SimpleNamespace(is_monkey_patched=lambda module: module == "thread")
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patched)
    with pytest.raises(InvalidSettings, match="eventlet has patched Python's threads"):
        KafkaProducer("127.0.0.1:1")
