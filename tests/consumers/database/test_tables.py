"""The activity table at rest."""

from pathlib import Path

from matterlog.consumers.reading.records import EVENT_COLUMNS, VIEW_COLUMNS
from testbed.events import a_view
from testbed.feed import OTHER_VALUES, Feed, rows
from tests.consumers.processes import run_python


def test_a_row_holds_the_event_as_it_was(feed: Feed) -> None:
    optional = {field: value for field, value in OTHER_VALUES.items() if field.startswith(("user_comp", "user_memb"))}
    foreign = '"Zoë"\n\t\r\u202e\u05e9\u05dc\u05d5\u05dd 弁護士 \U0001f600'
    views = [a_view(**optional), a_view(user_name=foreign, matter_name="")]
    feed.apply(*views)
    query = f"SELECT {', '.join(EVENT_COLUMNS.names)} FROM activity ORDER BY kafka_offset"  # noqa: S608 - our names
    for view, row in zip(views, rows(feed.store, query), strict=True):
        fields = view.model_dump() | {"matter_viewed_at": view.matter_viewed_at.replace(tzinfo=None)}
        assert row == tuple(fields[column] for column in EVENT_COLUMNS.names)


def test_the_activity_table_has_narrow_types_and_no_index(feed: Feed) -> None:
    types = dict(rows(feed.store, "SELECT column_name, column_type FROM (DESCRIBE activity)"))
    assert types["event_id"] == "UUID"
    assert types["user_type"] == "ENUM('Guest', 'Member')"
    assert types["matter_type"] == "ENUM('demo', 'live')"
    assert types["matter_viewed_at"] == "TIMESTAMP"
    assert sorted(types) == sorted([*VIEW_COLUMNS.names, "arrival"])
    assert (
        rows(feed.store, "SELECT constraint_type FROM duckdb_constraints() WHERE constraint_type != 'NOT NULL'") == []
    )
    assert rows(feed.store, "FROM duckdb_indexes()") == []


IN_NEW_YORK = """
import sys
from pathlib import Path
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, files_in, letters, rows
from matterlog.consumers.database.store import Store

with Store(files_in(Path(sys.argv[1]))) as store:
    feed = Feed(store)
    feed.apply(a_view(), a_deletion(matter_id="m-2"), feed.poison())
    [[viewed]] = rows(store, "SELECT matter_viewed_at::VARCHAR FROM activity")
    [[deleted, age]] = rows(store, "SELECT deleted_at::VARCHAR, epoch(now()) - epoch(purged_at) FROM purges")
    [letter] = letters(store)
    [[kept]] = rows(store, "SELECT kafka_timestamp::VARCHAR FROM dead_letters")
    [[zone]] = rows(store, "SELECT current_setting('TimeZone')")
    print(zone, viewed, deleted, abs(age) < 3600, letter.record.timestamp_ms, kept, sep="|")
"""


def test_times_are_utc_on_a_host_in_new_york(tmp_path: Path) -> None:
    noon = "2026-03-01 12:00:00.678901"
    found = run_python(IN_NEW_YORK, tmp_path, TZ="America/New_York")
    assert found == f"UTC|{noon}|{noon}|True|1700000000000|2023-11-14 22:13:20\n"
