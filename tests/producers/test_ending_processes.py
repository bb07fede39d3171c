"""Processes that are forked without Python's hooks, or end without ``atexit``: no event is lost with them."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas import Topics
from tests.topics_at_rest import make_topics, messages_of

ROOT: Final = Path(__file__).parents[2]
# Far beyond what the processes need; a child that hangs is ended before.
HANGS_SECONDS: Final = 240


@pytest.fixture
def topics(kafka: str, topic_prefix: str) -> Topics:
    """The topics of one test, made."""
    topics = Topics(topic_prefix)
    make_topics(kafka, topics)
    return topics


@pytest.mark.parametrize("made", ["parent", "child"])
@pytest.mark.parametrize("way", ["bare", "multiprocessing", "executor", "pool"])
def test_a_child_that_ends_without_close_loses_and_doubles_nothing(
    kafka: str, topics: Topics, way: str, made: str
) -> None:
    """Whether it inherits its producer or makes it, and whatever of the interpreter's hooks its fork and end run."""
    whole = [sys.executable, "-m", "tests.producers.ending_processes", kafka, topics.prefix, way, made]
    ran = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=HANGS_SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    emitted = sorted(ran.stdout.split())
    assert len(emitted) == 300
    assert sorted(bytes(each.key() or b"").decode() for each in messages_of(kafka, topics.matter_views.name)) == emitted
