"""A damaged block is met while the database is used: the file is read whole, and recovered once if it is damaged."""

import errno
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from threading import Event as Signal

import duckdb
import pytest

from matterlog.app.service.service import _watch
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.errors import BlockDamaged, DamagedAgain, DatabaseDamaged, StoreFailed
from matterlog.consumers.recovery.backups import BackupByInterval, list_backups, read_whole_file, take_backup
from matterlog.consumers.recovery.recovery import open_or_recover, reopen_or_recover
from matterlog.schemas import MatterlogError
from matterlog.schemas.storage.damage import in_words, names_damage
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from testbed.feed import Feed, rows, stored_ids
from tests.consumers.recovery.held_topics import HeldTopics

CHECKSUM = (
    "IO Error: Corrupt database file: computed checksum 1 does not match stored checksum 2 in block at location 3"
)
ENDED = f'FATAL Error: Failed: database has been invalidated because of a previous fatal error. Original: "{CHECKSUM}"'


@pytest.mark.parametrize(
    "text",
    [
        CHECKSUM,
        ENDED,
        'IO Error: Could not read from file "log.duckdb": Input/output error',
        'IO Error: Could not read enough bytes from file "log.duckdb": attempted to read 262144 bytes from location 9',
    ],
)
def test_a_block_that_cannot_be_read_as_it_was_written_is_damage(text: str) -> None:
    """Also where another error came of it."""
    later = StoreFailed("the database failed")
    later.__cause__ = duckdb.IOException(text)
    assert names_damage(later)
    assert in_words(later.__cause__) == "a block of the database is damaged"


def test_a_file_of_a_lake_is_no_block_of_the_database() -> None:
    """Whether it is cut, or another byte of an encrypted one was read."""
    for text in ('Could not read enough bytes from file "a.parquet"', "Computed AES tag differs from read AES tag"):
        assert in_words(duckdb.IOException(text)) == "a file of the lake is damaged"


@pytest.mark.parametrize(
    "text",
    [
        'IO Error: Could not write file "log.duckdb": No space left on device',
        'IO Error: Could not write file "log.duckdb": Input/output error',
        "Out of Memory Error: could not allocate block of size 256.0 KiB",
        "Conversion Error: Could not convert string 'checksum' to INT32",
    ],
)
def test_a_full_disk_and_a_lack_of_memory_are_no_damage(text: str) -> None:
    assert not names_damage(duckdb.Error(text))
    assert not names_damage(OSError(errno.ENOSPC, "No space left on device"))


@pytest.fixture
def damaged(paths: DatabaseFiles) -> DatabaseFiles:
    """A log with one backup, and a flipped bit in its activity table, which no opening sees."""
    with Store(paths) as store:
        Feed(store).apply(*(a_view() for _ in range(5_000)))
        take_backup(store, kept=1)
    with duckdb.connect(str(paths.database)) as connection:
        query = "SELECT min(block_id) FROM pragma_storage_info('activity') WHERE block_id >= 0"
        ((block,),) = connection.execute(query).fetchall()
    data = bytearray(paths.database.read_bytes())
    data[12_288 + 262_144 * block + 5_000] ^= 4
    paths.database.write_bytes(data)
    return paths


def backup(store: Store) -> None:
    """Take one."""
    take_backup(store, kept=3)


def read(store: Store) -> None:
    """Read for somebody."""
    rows(store, "SELECT bit_xor(hash(activity)) FROM activity")


def erase(store: Store) -> None:
    """Rewrite the file."""
    Eraser(store).run(patience_seconds=0)


def purge(store: Store) -> None:
    """Delete a matter of which rows are stored."""
    Feed(store, begins=5_000).apply(a_deletion())


def read_file(store: Store) -> None:
    """Read the whole file, as once a day."""
    read_whole_file(store, Signal())


@pytest.mark.parametrize("use", [backup, read, erase, purge, read_file])
def test_whoever_meets_a_damaged_block_has_the_database_recovered(
    damaged: DatabaseFiles, use: Callable[[Store], None]
) -> None:
    """Nothing is written before that, and it counts as a recovery."""
    with Store(damaged) as store:
        with pytest.raises((MatterlogError, duckdb.Error)):
            use(store)
        with pytest.raises(StoreFailed):
            store.positions()
        reopen_or_recover(store, HeldTopics())
        assert store.recovering
        assert len(stored_ids(store)) == 5_000
        assert rows(store, "SELECT source FROM recoveries") == [(list_backups(damaged)[0].name,)]
        assert not damaged.damaged.exists()
        read_file(store)


def test_a_false_alarm_costs_one_reading_of_the_file(feed: Feed, paths: DatabaseFiles) -> None:
    """A copy was damaged, say, and the file is not: nothing is recovered."""
    feed.apply(a_view())
    feed.store.doubt()
    with pytest.raises(BlockDamaged, match="is damaged"):
        feed.apply(a_view())
    reopen_or_recover(feed.store, HeldTopics())
    assert (feed.store.recovering, len(stored_ids(feed.store)), paths.damaged.exists()) == (False, 1, False)


def test_an_owner_that_met_a_damaged_block_does_not_end_well(damaged: DatabaseFiles) -> None:
    """The next one reads the file whole when it opens it, and recovers it."""
    with pytest.raises(BlockDamaged), Store(damaged) as store, suppress(duckdb.Error):
        read(store)
    with pytest.raises(DatabaseDamaged, match="is damaged"):
        Store(damaged)
    with open_or_recover(lambda: Store(damaged), damaged, lambda: nullcontext(HeldTopics())) as store:
        assert store.recovering


def test_a_database_that_is_damaged_again_at_once_is_for_the_operator(damaged: DatabaseFiles) -> None:
    """The first damaged file still stands beside it."""
    flipped = damaged.database.read_bytes()
    damaged.damaged.touch()
    open_or_recover(lambda: Store(damaged), damaged, lambda: nullcontext(HeldTopics())).close()
    damaged.database.write_bytes(flipped)
    damaged.damaged.touch()
    with pytest.raises(DamagedAgain, match="look after the disk"):
        open_or_recover(lambda: Store(damaged), damaged, lambda: nullcontext(HeldTopics()))
    assert damaged.database.read_bytes() == flipped


def test_a_site_goes_on_while_its_consumer_recovers_the_database(damaged: DatabaseFiles) -> None:
    store = Store(damaged)
    with suppress(duckdb.Error):
        read(store)
    _watch(store, consumes=True)
    with pytest.raises(BlockDamaged):
        _watch(store, consumes=False)
    store.close()


def test_the_whole_file_is_read_once_a_day_also_without_backups(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view())
    daily = BackupByInterval(feed.store, timedelta(), 1)
    now = datetime.now(UTC)
    assert (daily.read_at, daily.is_reading_due(now)) == (None, False)
    assert daily.is_reading_due(now + timedelta(hours=2))
    take_backup(feed.store, kept=1)
    assert daily.read_at == list_backups(paths)[0].taken_at
    assert not daily.is_reading_due(now + timedelta(hours=2))
    assert daily.is_reading_due(now + timedelta(hours=25))


def test_a_reading_of_the_file_leaves_no_copy(feed: Feed, paths: DatabaseFiles) -> None:
    feed.apply(a_view())
    read_file(feed.store)
    assert list(paths.backups.iterdir()) == []
