"""A database is replaced by what holds all of it, or not at all."""

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import WouldLose
from matterlog.consumers.reading.records import Gap, Move, Position
from matterlog.consumers.recovery.backups import Backup, take_backup
from matterlog.consumers.recovery.coverage import refuse_loss
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from testbed.feed import DELETIONS, VIEWS, Feed
from tests.consumers.recovery.held_topics import HeldTopics


@pytest.fixture
def backup(paths: DatabaseFiles) -> Backup:
    """A backup at offset 3 of the views and 1 of the deletions; the log stands at 5 and 2."""
    with Store(paths) as store:
        feed = Feed(store)
        feed.apply(a_view(), a_view(matter_id="m-2"), a_view(matter_id="m-3"), a_deletion(matter_id="m-9"))
        taken = take_backup(store, kept=1)
        feed.apply(a_view(), a_view(matter_id="m-2"), a_deletion(matter_id="m-3"))
    return taken


def topics(views: int = 0, deletions: int = 0, **changes: Any) -> HeldTopics:
    """Topics that begin at these offsets."""
    return HeldTopics({(VIEWS, 0): (views, 1000), (DELETIONS, 0): (deletions, 1000)}, **changes)


@pytest.mark.parametrize(("views", "deletions"), [(0, 0), (3, 1)])
def test_a_backup_and_topics_that_go_on_from_it_hold_everything(
    paths: DatabaseFiles, backup: Backup, views: int, deletions: int
) -> None:
    refuse_loss(paths, backup, topics(views, deletions))


@pytest.mark.parametrize(
    ("views", "deletions", "says"),
    [
        (4, 0, r"neither backup .* matter-views \[0\] from offset 3 to 3 \(1 views\)"),
        (900, 0, r"matter-views \[0\] from offset 3 to 4 \(2 views\)"),
        (0, 2, r"matter-deletions \[0\] from offset 1 to 1 \(1 deletions\)"),
    ],
)
def test_records_that_expired_since_the_backup_are_told(
    paths: DatabaseFiles, backup: Backup, views: int, deletions: int, says: str
) -> None:
    """With how many views and deletions the database has of them."""
    with pytest.raises(WouldLose, match=says):
        refuse_loss(paths, backup, topics(views, deletions))


@pytest.mark.usefixtures("backup")
def test_topics_alone_have_to_begin_at_the_beginning(paths: DatabaseFiles) -> None:
    refuse_loss(paths, None, topics())
    with pytest.raises(WouldLose, match=r"the topics no longer have: matter-views \[0\] from offset 0 to 0 "):
        refuse_loss(paths, None, topics(views=1))


@pytest.mark.usefixtures("backup")
def test_topics_that_were_cut_or_are_gone_hold_nothing(paths: DatabaseFiles) -> None:
    with pytest.raises(WouldLose, match=r"matter-deletions \[0\] from offset 0 to 1 .*matter-views \[0\] .* 0 to 4"):
        refuse_loss(paths, None, topics(cut=True))
    with pytest.raises(WouldLose, match=r"matter-views \[0\] from offset 0 to 4"):
        refuse_loss(paths, None, HeldTopics({(DELETIONS, 0): (0, 1000)}))


def test_offsets_that_the_log_never_had_are_no_loss(paths: DatabaseFiles) -> None:
    """They had expired before it read them, and it says so; of another partition it has read nothing."""
    with Store(paths) as store:
        behind = Position(next_offset=7)
        store.record_gaps(
            [Gap(topic=VIEWS, partition=0, first_missing=0, next_available=7)],
            [Move(topic=VIEWS, partition=0, began=None, ends=behind)],
        )
        Feed(store, begins=7).apply(a_view())
    held = topics(views=7)
    held.bounds_of[VIEWS, 1] = (12, 30)
    refuse_loss(paths, None, held)
    with pytest.raises(WouldLose, match=r"from offset 7 to 7"):
        refuse_loss(paths, None, topics(views=8))


def test_missing_offsets_of_an_earlier_topic_hide_no_loss(paths: DatabaseFiles) -> None:
    """A topic that begins before they end is another one under the old name: those offsets were read of it."""
    with Store(paths) as store:
        store.record_gaps([Gap(topic=VIEWS, partition=0, first_missing=0, next_available=7)], [])
        Feed(store).apply(*[a_view() for _ in range(9)])
    with pytest.raises(WouldLose, match=r"from offset 0 to 4 \(5 views\)"):
        refuse_loss(paths, None, topics(views=5))


def test_a_backup_of_all_that_was_read_needs_no_topics(paths: DatabaseFiles, backup: Backup) -> None:
    with pytest.raises(WouldLose, match="no broker is set"):
        refuse_loss(paths, backup, None)
    with Store(paths) as store:
        newer = take_backup(store, kept=1)
    refuse_loss(paths, newer, None)


def all_headers(data: bytearray) -> None:
    """Nothing of the file can be read."""
    data[4096:12288] = bytes(8192)


def test_a_file_that_says_nothing_counts_as_having_read_everything(paths: DatabaseFiles, backup: Backup) -> None:
    """Then the backup's positions have to be there, or the topics' beginnings."""
    unreadable(paths, all_headers)
    refuse_loss(paths, backup, topics(3, 1))
    refuse_loss(paths, None, topics())
    with pytest.raises(WouldLose, match=r"matter-views \[0\] from offset 3 to 3 \(it cannot be read how many views\)"):
        refuse_loss(paths, backup, topics(views=4))
    with pytest.raises(WouldLose, match=r"matter-deletions \[0\] from offset 0 to 0"):
        refuse_loss(paths, None, topics(deletions=1))
    with pytest.raises(WouldLose, match=r"matter-views \[0\] from offset 3 "):
        refuse_loss(paths, backup, topics(cut=True))


def unreadable(paths: DatabaseFiles, change: Callable[[bytearray], None]) -> None:
    """Change bytes of the database."""
    data = bytearray(paths.database.read_bytes())
    change(data)
    paths.database.write_bytes(data)


def test_what_only_the_file_holds_is_not_lost_though_it_cannot_be_read(paths: DatabaseFiles, backup: Backup) -> None:
    """A table without a row has no block that could be damaged: so there is something in it."""
    with duckdb.connect(str(paths.database)) as connection:
        insert = f"INSERT INTO database_only SELECT '{VIEWS}', 0, r, uuid(), 2 FROM range(5000) t(r); CHECKPOINT"  # noqa: S608 - ours
        connection.execute(insert)
        query = "SELECT min(block_id) FROM pragma_storage_info('database_only') WHERE block_id >= 0"
        ((block,),) = connection.execute(query).fetchall()

    def flip(data: bytearray) -> None:
        data[12_288 + 262_144 * block + 5_000] ^= 4

    with pytest.raises(WouldLose, match="alone holds 5,000 views"):
        refuse_loss(paths, backup, topics())
    unreadable(paths, flip)
    with pytest.raises(WouldLose, match="it cannot be read what"):
        refuse_loss(paths, backup, topics())
