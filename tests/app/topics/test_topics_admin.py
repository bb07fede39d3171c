"""How topics are made."""

import pytest

from matterlog.app.topics.topics_admin import _new_topic
from matterlog.schemas import Topics


@pytest.mark.parametrize(("copies", "written"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_a_message_is_stored_when_two_of_three_copies_are(copies: int, written: str) -> None:
    """One that is acknowledged outlives a broker; fewer copies must not keep the topic from being written to."""
    for topic in Topics().both:
        assert _new_topic(topic, 1, copies).config == {**dict(topic.configuration), "min.insync.replicas": written}
