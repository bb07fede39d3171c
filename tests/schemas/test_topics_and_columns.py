"""The topics' names, keys and configuration, and the report's columns: contracts, so the figures are literal."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import pytest

from matterlog.schemas import MatterDeleted, MatterType, MatterViewed, Topics, UserType
from matterlog.schemas.columns import COLUMNS, DELETION_COLUMNS, FULL_COLUMNS, REPORT_COLUMNS, column_of, field_of
from matterlog.schemas.topics import CONTENT_TYPE, DEFAULT_PARTITIONS, MAX_COMPACTION_LAG_MS, PARTITIONER, key_of

EIGHT_COLUMNS: Final = (
    "user_ID",
    "user_name",
    "user_email",
    "user_type",
    "matter_viewed_at",
    "matter_ID",
    "matter_name",
    "matter_type",
)
FOURTEEN_COLUMNS: Final = (
    "user_ID",
    "user_name",
    "user_email",
    "user_type",
    "user_company_ID",
    "user_company_name",
    "user_member_office_ID",
    "user_member_office_name",
    "user_member_office_location_name",
    "user_member_office_location_iso2",
    "matter_viewed_at",
    "matter_ID",
    "matter_name",
    "matter_type",
)
SIX_HOURS_MS: Final = 21_600_000

VIEW: Final = MatterViewed(
    event_id=UUID("0198c0de-1234-7abc-8def-0123456789ab"),
    user_id="u-1001",
    user_name="Zoë",
    user_email="zoe@example.com",
    user_type=UserType.GUEST,
    matter_viewed_at=datetime(2026, 1, 2, tzinfo=UTC),
    matter_id="Ma-42 ü",
    matter_name="Project Heron",
    matter_type=MatterType.LIVE,
)
DELETION: Final = MatterDeleted(matter_id="Ma-42 ü", deleted_at=datetime(2026, 1, 3, tzinfo=UTC))


@pytest.mark.parametrize("prefix", ["", "eu.", "test-7-"])
def test_a_topics_name_is_the_prefix_and_its_own_name(prefix: str) -> None:
    assert [topic.name for topic in Topics(prefix).both] == [f"{prefix}matter-views", f"{prefix}matter-deletions"]


def test_topics_have_no_prefix_unless_one_is_given() -> None:
    assert [topic.name for topic in Topics().both] == ["matter-views", "matter-deletions"]


def test_each_topic_carries_one_event() -> None:
    assert Topics().matter_views.event is MatterViewed
    assert Topics().matter_deletions.event is MatterDeleted
    assert Topics().both == (Topics().matter_views, Topics().matter_deletions)


def test_views_are_compacted_within_six_hours_and_not_cut_unless_an_operator_says_so() -> None:
    assert dict(Topics().matter_views.configuration) == {
        "cleanup.policy": "compact,delete",
        "max.compaction.lag.ms": str(SIX_HOURS_MS),
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "-1",
        "retention.bytes": "-1",
    }
    assert MAX_COMPACTION_LAG_MS == SIX_HOURS_MS


def test_deletions_are_compacted_and_never_cut() -> None:
    assert dict(Topics().matter_deletions.configuration) == {"cleanup.policy": "compact"}


def test_a_prefix_changes_nothing_but_the_name() -> None:
    for plain, prefixed in zip(Topics().both, Topics("eu.").both, strict=True):
        assert (plain.event, plain.configuration) == (prefixed.event, prefixed.configuration)


def test_a_views_key_is_the_events_own_id_in_lower_case() -> None:
    assert key_of(VIEW) == "0198c0de-1234-7abc-8def-0123456789ab"


def test_a_deletions_key_is_the_matters_id_as_it_stands() -> None:
    assert key_of(DELETION) == "Ma-42 ü"


def test_what_producers_and_broker_agree_on_is_pinned() -> None:
    assert (DEFAULT_PARTITIONS, PARTITIONER, CONTENT_TYPE) == (6, "murmur2_random", "application/avro")


def test_the_report_has_exactly_its_eight_columns_in_their_order() -> None:
    assert REPORT_COLUMNS == EIGHT_COLUMNS


def test_the_full_report_adds_company_and_office_behind_the_user_type() -> None:
    assert FULL_COLUMNS == FOURTEEN_COLUMNS
    assert tuple(column for column in FULL_COLUMNS if column in EIGHT_COLUMNS) == EIGHT_COLUMNS


def test_the_events_id_is_asked_for_by_itself_and_stands_last() -> None:
    assert tuple(column.name for column in COLUMNS) == (*FOURTEEN_COLUMNS, "event_ID")


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("event_ID", "event_id"),
        ("user_ID", "user_id"),
        ("user_member_office_ID", "user_member_office_id"),
        ("matter_viewed_at", "matter_viewed_at"),
        ("user_member_office_location_iso2", "user_member_office_location_iso2"),
    ],
)
def test_a_column_is_its_field_with_id_in_capitals(column: str, field: str) -> None:
    assert field_of(column) == field
    assert column_of(field) == column


def test_the_deletions_columns_show_fields_of_a_deletion() -> None:
    assert DELETION_COLUMNS == ("matter_ID", "deleted_at")
    assert {field_of(column) for column in DELETION_COLUMNS} <= set(MatterDeleted.model_fields)
