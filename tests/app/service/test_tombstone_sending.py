"""What the sender of tombstones is told of the topic."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from matterlog.app.service import tombstone_sending
from matterlog.app.service.tombstone_sending import CLOCKS_APART_SECONDS, tombstone_sender
from matterlog.app.settings import Settings
from matterlog.app.topics.topics_admin import COMPACTION_LAG
from matterlog.consumers.database.store import Store
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.feed import ReadViews

TWO_DAYS = timedelta(days=2)


class Admin:
    """A broker that closes files after two days."""

    is_embedded = False

    def __init__(self, _servers: str, _settings: Mapping[str, str], _answer_seconds: float) -> None:
        pass

    def configuration_of(self, _topic: str) -> dict[str, str]:
        """The topic's settings."""
        return {COMPACTION_LAG: str(TWO_DAYS // timedelta(milliseconds=1))}


def test_a_file_is_taken_for_closed_when_its_topic_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And clocks may differ: or a receipt would say too early that the topic is rid of a matter."""
    monkeypatch.setattr(tombstone_sending, "TopicAdmin", Admin)
    with Store(DatabaseFiles(tmp_path / "log.duckdb")) as store:
        sender = tombstone_sender(Settings(bootstrap_servers="127.0.0.1:1"), store, ReadViews())
    assert sender._closes_after == TWO_DAYS + timedelta(seconds=CLOCKS_APART_SECONDS)
