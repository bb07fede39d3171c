"""What PostgreSQL and the storage do to the lake's store and its readers when they fail."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import duckdb
import pytest

from matterlog.consumers.erasure.erase import removals
from matterlog.consumers.errors import StoreFailed, StoreUnavailable
from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.report.errors import ExtractFailed
from matterlog.report.extracts.extracts import write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.extracts.whole_file import whole_file
from matterlog.report.log.reader import open_lake_for_reading
from matterlog.schemas.storage.lake import Lake, LakeUnreachable
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows
from tests.consumers.lake.sessions import end_sessions
from tests.consumers.processes import run_python

pytestmark = pytest.mark.postgresql

REPORT = ExtractRequest(format="csv")
# Ends the sessions of a store, or of a reader, inside a transaction, and closes it.
CLOSE = """
import sys
from pathlib import Path
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.report.log.reader import open_lake_for_reading
from matterlog.schemas.storage.lake import Lake
from tests.consumers.lake.sessions import end_sessions

lake = Lake(catalogue=sys.argv[1], data=sys.argv[2], spill=Path(sys.argv[3]))
with open_lake_for_reading(lake) as reader:
    reader.execute("BEGIN; FROM positions")
    end_sessions(lake)
store = LakeStore(lake)
cursor = store.reader()
store._connection.execute("BEGIN; FROM positions")
cursor.__enter__().execute("BEGIN; FROM positions")
end_sessions(lake)
cursor.__exit__(None, None, None)
store.close()
print("closed")
"""


def test_what_is_closed_after_its_session_ended_does_not_end_the_process(lake: Lake) -> None:
    assert run_python(CLOSE, lake.catalogue, lake.data, lake.spill) == "closed\n"


def test_no_connection_repeats_a_commit_by_itself(store: LakeStore) -> None:
    """Neither the writer's nor a cursor."""
    for connection in (store._connection, store._connection.cursor()):
        assert connection.execute("SELECT current_setting('ducklake_max_retry_count')").fetchall() == [(0,)]


def test_another_storage_than_amazons_has_the_bucket_in_the_path(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """For cursors too; Amazon's has a host name for each bucket."""
    styles, alone = [], Lake(catalogue=lake.catalogue, data=lake.data, spill=lake.spill)
    for endpoint in ("127.0.0.1:9000", "s3.eu-central-1.amazonaws.com"):
        monkeypatch.setenv("DUCKDB_S3_ENDPOINT", endpoint)
        with closing(alone.connect()) as connection:
            styles += connection.cursor().execute("SELECT current_setting('s3_url_style')").fetchall()
    assert styles == [("path",), ("vhost",)]


def test_a_storage_that_is_away_is_told_as_that_and_nothing_is_applied(feed: Feed, lake: Lake) -> None:
    feed.apply(a_view())
    place = Path(lake.data)
    aside = shutil.move(place, place.with_name(f"{place.name}-aside"))
    place.touch()
    with pytest.raises(StoreUnavailable, match=r"its storage does not answer \(IOException\)"):
        feed.apply(a_view())
    place.unlink()
    shutil.move(aside, place)
    feed.store.reopen()
    assert feed.store.positions()["matter-views", 0].next_offset == 1
    assert len(rows(feed.store, "SELECT event_id FROM activity")) == 1


def test_a_full_storage_is_called_full(feed: Feed) -> None:
    """It may be emptied: the consumer waits."""
    with pytest.raises(StoreUnavailable, match=r"the lake's storage is full \(IOException\)"), feed.store.transaction():
        raise duckdb.IOException('Could not write file "a.parquet": No space left on device')
    feed.store.reopen()


def test_a_failure_of_another_thread_is_told_to_the_loop_while_no_records_come(feed: Feed, lake: Lake) -> None:
    """Else nobody would open the lake again, and nothing would be erased."""
    feed.store.check()
    end_sessions(lake)
    with pytest.raises(StoreFailed), feed.store.transaction():
        pass
    with pytest.raises(StoreFailed, match="was not opened again since"):
        feed.store.check()
    feed.store.reopen()
    feed.store.check()


def test_what_is_to_be_erased_is_not_known_while_the_lake_is_away(feed: Feed) -> None:
    """The schedule looks again; it does not end."""
    feed.store.close()
    with pytest.raises(StoreFailed, match="could not be read"):
        removals(feed.store)


# Readers


def test_an_extract_beside_a_consumer_holds_whole_batches(feed: Feed, lake: Lake) -> None:
    """It is one snapshot: what is committed after the snapshot was taken is in the next extract."""

    def apply_ten(*_: object) -> bool:
        return feed.apply(*(a_view() for _ in range(10))).views == 10

    assert apply_ten()
    with open_lake_for_reading(lake) as connection:
        extracts = [write_extract(connection, REPORT, lambda _: None, apply_ten) for _ in range(3)]
    assert [each.rows for each in extracts] == [10, 20, 30]
    assert [each.snapshot.positions[0].next_offset for each in extracts] == [10, 20, 30]


def erase(lake: Lake) -> None:
    """Erase without patience for readers."""
    with LakeStore(lake) as eraser:
        LakeEraser(eraser).run(patience_seconds=0)


@pytest.mark.parametrize("breaks", [end_sessions, erase])
def test_an_extract_that_breaks_off_is_told_and_leaves_no_file(
    feed: Feed, lake: Lake, tmp_path: Path, breaks: Callable[[Lake], object]
) -> None:
    """Its session was ended, or its files were removed."""
    feed.apply(*(a_view() for _ in range(10)), a_view(matter_id="m-1"))
    feed.apply(a_deletion(matter_id="m-1"))

    def begun(*_: object) -> bool:
        breaks(lake)
        return True

    with (
        pytest.raises(ExtractFailed, match="no file was left"),
        open_lake_for_reading(lake) as connection,
        whole_file(tmp_path / "report.csv") as file,
    ):
        write_extract(connection, REPORT, file.write, begun)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_whose_session_is_ended_is_told(feed: Feed, lake: Lake) -> None:
    feed.apply(a_view())
    with ExitStack() as stack:
        reader = stack.enter_context(open_lake_for_reading(lake))
        reader.execute("BEGIN; FROM positions")
        end_sessions(lake)
        with pytest.raises(duckdb.Error) as failure:
            reader.execute("FROM activity").fetchall()
        with pytest.raises(LakeUnreachable, match="the lake failed while it was read"):
            stack.__exit__(failure.type, failure.value, None)
