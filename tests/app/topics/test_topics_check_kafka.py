"""``matterlog topics check`` against real brokers."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.schemas import Topics
from tests.topics_at_rest import make_topics, wait_for_partitions

pytestmark = pytest.mark.broker


def check(servers: str, prefix: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and what was found."""
    options = ["--bootstrap-servers", servers, "--topic-prefix", prefix]
    ended = CliRunner().invoke(app, ["topics", "check", "--json", *options])
    return ended.exit_code, json.loads(ended.stdout)


def test_topics_made_by_the_command_will_do(kafka: str, topic_prefix: str) -> None:
    """And the other command says so."""
    made = CliRunner().invoke(
        app, ["topics", "create", "--partitions", "1", "--bootstrap-servers", kafka, "--topic-prefix", topic_prefix]
    )
    assert made.exit_code == 0
    wait_for_partitions(kafka, f"{topic_prefix}matter-views", 1)
    wait_for_partitions(kafka, f"{topic_prefix}matter-deletions", 1)
    assert check(kafka, topic_prefix) == (0, [])


def test_topics_that_exist_already_are_left_as_they_are(kafka: str, topic_prefix: str) -> None:
    """Making them again is no error."""
    topics, admin = Topics(topic_prefix), TopicAdmin(kafka, {})
    assert set(admin.create(topics, 2, 1).values()) == {True}
    wait_for_partitions(kafka, topics.matter_views.name, 2)
    assert set(admin.create(topics, 3, 1).values()) == {False}
    wait_for_partitions(kafka, topics.matter_views.name, 2)


def test_topics_of_the_brokers_own_making_will_not(kafka: str, topic_prefix: str) -> None:
    """A broker's defaults: nothing is compacted, and after a week deletions are forgotten."""
    make_topics(
        kafka,
        Topics(topic_prefix),
        cleanup_policy="delete",
        max_compaction_lag_ms=str(2**63 - 1),
        retention_ms="604800000",
        message_timestamp_type="CreateTime",
    )
    code, found = check(kafka, topic_prefix)
    assert code == 1
    assert [(each["where"].removeprefix(topic_prefix), each["setting"]) for each in found] == [
        ("matter-views", "cleanup.policy"),
        ("matter-views", "max.compaction.lag.ms"),
        ("matter-views", "message.timestamp.type"),
        ("matter-deletions", "retention.ms"),
    ]


def test_topics_that_do_not_exist_are_an_error(kafka: str, topic_prefix: str) -> None:
    """Nothing is said of what was not seen."""
    options = ["--bootstrap-servers", kafka, "--topic-prefix", topic_prefix]
    ended = CliRunner().invoke(app, ["topics", "check", *options])
    assert ended.exit_code == 1
    assert "within the deadline" not in ended.output
