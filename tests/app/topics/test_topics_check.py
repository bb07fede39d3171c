"""Which settings would let a purged record live on."""

from datetime import timedelta
from typing import Final

import pytest

from matterlog.app.topics.topics_check import KafkaSettings, findings
from matterlog.schemas import Topics

TOPICS: Final = Topics("t-")
DAY: Final = timedelta(hours=24)
GOOD_VIEWS: Final = {
    **dict(TOPICS.matter_views.configuration),
    "min.compaction.lag.ms": "0",
    "file.delete.delay.ms": "60000",
    "unclean.leader.election.enable": "false",
}
GOOD_DELETIONS: Final = {"cleanup.policy": "compact", "retention.ms": "604800000", "retention.bytes": "-1"}
GOOD_BROKER: Final = {"log.cleaner.enable": "true", "log.cleaner.backoff.ms": "15000"}


def found(
    views: dict[str, str] | None = None,
    deletions: dict[str, str] | None = None,
    broker: dict[str, str] | None = None,
    *,
    may_write: bool = True,
) -> list[tuple[str, str]]:
    """Where the findings stand, with these settings in place of good ones."""
    settings = KafkaSettings(
        views=GOOD_VIEWS | (views or {}),
        deletions=GOOD_DELETIONS | (deletions or {}),
        brokers={1: GOOD_BROKER, 2: GOOD_BROKER | (broker or {})},
        may_write_views=may_write,
    )
    return [(finding.where, finding.setting) for finding in findings(TOPICS, settings, DAY)]


def test_topics_as_they_are_made_let_nothing_live_on() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cleanup.policy", "delete"),
        ("max.compaction.lag.ms", str(2**63 - 1)),
        ("max.compaction.lag.ms", str(24 * 3600 * 1000)),
        ("min.compaction.lag.ms", str(24 * 3600 * 1000)),
        ("file.delete.delay.ms", str(24 * 3600 * 1000)),
        ("message.timestamp.type", "CreateTime"),
        ("remote.storage.enable", "true"),
        ("unclean.leader.election.enable", "true"),
    ],
)
def test_a_setting_of_the_topic_of_views_is_found(setting: str, value: str) -> None:
    assert found(views={setting: value}) == [("t-matter-views", setting)]


@pytest.mark.parametrize(("setting", "value"), [("retention.ms", "604800000"), ("retention.bytes", "1")])
def test_deletions_that_expire_are_found(setting: str, value: str) -> None:
    """Without them a rebuild brings deleted matters back."""
    kept = {"cleanup.policy": "compact,delete", "retention.ms": "-1"}
    assert found(deletions=kept) == []
    assert found(deletions=kept | {setting: value}) == [("t-matter-deletions", setting)]


@pytest.mark.parametrize(("setting", "value"), [("log.cleaner.enable", "false"), ("log.cleaner.backoff.ms", "7200000")])
def test_a_setting_of_one_broker_is_found(setting: str, value: str) -> None:
    assert found(broker={setting: value}) == [("broker 2", setting)]


def test_a_user_who_may_not_write_tombstones_is_found() -> None:
    assert found(may_write=False) == [("t-matter-views", "ACL")]
