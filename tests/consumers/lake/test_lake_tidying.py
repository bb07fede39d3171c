"""Small files of a lake are merged after many commits, though nothing was removed."""

from pathlib import Path

import pytest

from matterlog.consumers.erasure.erase import removals
from matterlog.consumers.lake import lake_erasure
from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.schemas.storage.lake import Lake
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows

pytestmark = pytest.mark.postgresql

COMMITS = 12
EVERYTHING = "SELECT * FROM activity ORDER BY ALL"


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_erasure, "MANY_COMMITS", COMMITS)


def objects(lake: Lake) -> set[Path]:
    """The files in the lake's storage."""
    return {file for file in Path(lake.data).rglob("*") if file.is_file()}


def commits(store: LakeStore) -> int:
    """How many states the catalogue knows."""
    ((count,),) = rows(store, "SELECT count(*) FROM ducklake_snapshots('log')")
    return int(count)


def fill(feed: Feed, matter: str = "m-1") -> None:
    """Commit views one by one."""
    for _ in range(COMMITS):
        feed.apply(a_view(matter_id=matter))


def test_files_of_many_commits_are_merged_and_no_row_changes(store: LakeStore, lake: Lake, feed: Feed) -> None:
    """Each commit made a file; one is left, in the catalogue and in the storage."""
    fill(feed)
    before, files = rows(store, EVERYTHING), objects(lake)
    assert len(files) >= COMMITS
    LakeEraser(store).tidy()
    assert rows(store, EVERYTHING) == before
    assert len(rows(store, "FROM ducklake_list_files('log', 'activity')")) == 1
    assert len(objects(lake)) < 8
    assert commits(store) < 4
    fill(feed, "m-2")
    LakeEraser(store).tidy()
    assert rows(store, "SELECT matter_id, count(*) FROM activity GROUP BY ALL ORDER BY ALL") == [
        ("m-1", COMMITS),
        ("m-2", COMMITS),
    ]


def test_a_few_commits_are_left_as_they_are(store: LakeStore, lake: Lake, feed: Feed) -> None:
    while commits(store) < COMMITS - 1:
        feed.apply(a_view())
    files = objects(lake)
    LakeEraser(store).tidy()
    assert objects(lake) == files


def test_whoever_reads_an_earlier_state_keeps_its_files(store: LakeStore, lake: Lake, feed: Feed) -> None:
    """They go the next time that nobody does, and nobody is ended or waited for."""
    fill(feed)
    before, files = rows(store, EVERYTHING), objects(lake)
    with LakeStore(lake) as other, other.reader() as reader:
        reader.execute("BEGIN")
        assert len(reader.execute("SELECT arrival FROM activity").fetchall()) == COMMITS
        LakeEraser(store).tidy()
        assert files <= objects(lake)
        assert sorted(map(str, reader.execute(EVERYTHING).fetchall())) == sorted(map(str, before))
        reader.execute("COMMIT")
    fill(feed)
    LakeEraser(store).tidy()
    assert not files & objects(lake)
    assert len(rows(store, EVERYTHING)) == 2 * COMMITS


def test_a_removal_waits_for_its_erasure_all_the_same(store: LakeStore, feed: Feed) -> None:
    """Merging leaves the row out, and its receipt says nothing before the catalogue was written again too."""
    fill(feed)
    feed.apply(a_deletion(matter_id="m-1"))
    LakeEraser(store).tidy()
    assert removals(store).waiting == 1
    assert rows(store, "SELECT file_erased_at FROM purges") == [(None,)]
    LakeEraser(store).run(patience_seconds=20)
    assert removals(store).waiting == 0


def test_another_process_commits_before_and_after(store: LakeStore, lake: Lake, feed: Feed) -> None:
    """Nothing of what it knows of the files hides a row, or brings back a deleted matter's."""
    fill(feed)
    with LakeStore(lake) as other:
        theirs = Feed(other)
        theirs.apply(a_view(matter_id="m-5"), a_deletion(matter_id="m-6"))
        assert rows(other, "SELECT count(*) FROM activity WHERE matter_id > 'm-1'") == [(1,)]
        LakeEraser(store).tidy()
        theirs.apply(a_view(matter_id="m-9"), a_view(matter_id="m-6"))
        assert rows(other, "SELECT count(*) FROM activity WHERE matter_id > 'm-1'") == [(2,)]
    assert rows(store, "SELECT count(*) FROM activity WHERE matter_id > 'm-1'") == [(2,)]
