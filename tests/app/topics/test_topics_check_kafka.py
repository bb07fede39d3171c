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


@pytest.mark.parametrize("is_there", [True, False], ids=["no topics", "no broker"])
def test_what_could_not_be_asked_is_not_called_good(kafka: str, topic_prefix: str, *, is_there: bool) -> None:
    """Nothing is said of what was not seen; the exit code is not that of a finding."""
    options = ["--bootstrap-servers", kafka if is_there else "127.0.0.1:1", "--topic-prefix", topic_prefix]
    ended = CliRunner().invoke(app, ["topics", "check", *options], env={"MATTERLOG_BROKER_TIMEOUT_SECONDS": "1"})
    assert ended.exit_code == 3
    assert "before the deadline" not in ended.output
    said = f"topic {topic_prefix}matter-deletions: " if is_there else "no answer from Kafka at 127.0.0.1:1"
    assert f"NOT CHECKED  {said}" in ended.stderr
