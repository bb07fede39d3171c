"""What DuckDB, the disk and the readers do to the store when they fail."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from matterlog.consumers.database import opening
from matterlog.consumers.database.store import Store
from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.errors import BlockDamaged, StoreFailed
from matterlog.consumers.reading.records import DecodedRecords, Move, Position
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view, record_of
from testbed.feed import VIEWS, Feed, apply_records, decode, letters, rows, stored_ids
from tests.consumers.processes import run_python
from tests.report.logs import a_big_log, apply

# Runs for about a minute where nobody interrupts it.
LONG = "SELECT sum(a.range * b.range) FROM range(100000) a, range(100000) b"


class FailingCommit:
    """A stand-in for a connection whose COMMIT raises, after it was done or instead of being done."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, done: bool) -> None:
        """Stand in front of this connection."""
        self._connection = connection
        self._done = done

    def __getattr__(self, name: str) -> Any:
        """Everything else is the connection's."""
        return getattr(self._connection, name)

    def execute(self, query: str, *values: Any) -> Any:
        """Fail at COMMIT."""
        if query == "COMMIT":
            self._connection.execute("COMMIT" if self._done else "ROLLBACK")
            raise duckdb.FatalException("the disk is full")
        return self._connection.execute(query, *values)


@pytest.fixture(params=[True, False], ids=["committed all the same", "not committed"])
def committed(request: pytest.FixtureRequest, feed: Feed) -> int:
    """How many batches, one or none, were committed of one whose COMMIT raised: a view and two deletions."""
    done = bool(request.param)
    feed.apply(a_view(matter_id="m-1"))
    failing: Any = FailingCommit(feed.store._connection, done=done)
    feed.store._connection = failing
    with pytest.raises(StoreFailed, match="the database failed") as failure:
        feed.apply(a_view(matter_id="m-2"), a_deletion(matter_id="m-1"), a_deletion(matter_id="m-3"))
    assert isinstance(failure.value.__cause__, duckdb.FatalException)
    return int(done)


# A failed COMMIT


def test_after_a_failed_commit_the_positions_tell_the_truth(feed: Feed, committed: int) -> None:
    feed.store.reopen()
    assert feed.store.positions()[VIEWS, 0].next_offset == 1 + committed
    assert rows(feed.store, "SELECT matter_id FROM activity") == [("m-2",) if committed else ("m-1",)]


def test_after_a_failed_commit_the_deletions_known_are_the_databases(feed: Feed, committed: int) -> None:
    feed.store.reopen()
    late = record_of(a_view(matter_id="m-3"), 1, 0)
    assert apply_records(feed.store, late).refused == committed


@pytest.mark.usefixtures("committed")
def test_after_a_failed_commit_nothing_is_done_before_the_store_is_opened_again(feed: Feed) -> None:
    """The connection looks sound, but what it knows of deletions may be out of date."""
    attempts: list[Callable[[], Any]] = [
        feed.store.positions,
        lambda: feed.store.apply(decode([]), []),
        lambda: feed.store.retry(None, decode),
        lambda: feed.store.discard(None),
        lambda: feed.store.record_gaps([], []),
    ]
    for attempt in attempts:
        with pytest.raises(StoreFailed, match="was not reopened since"):
            attempt()


def test_what_breaks_behind_a_commit_makes_the_store_read_again_what_is_deleted(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would let a view of the deleted matter in."""
    begun = Store._begun

    @contextmanager
    def interrupted(store: Store, connection: duckdb.DuckDBPyConnection) -> Iterator[Transaction]:
        with begun(store, connection) as transaction:
            yield transaction
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "_begun", interrupted)
    with pytest.raises(KeyboardInterrupt):
        feed.apply(a_deletion())
    monkeypatch.undo()
    late = record_of(a_view(), 0, 0)
    with pytest.raises(StoreFailed, match="was not reopened since"):
        apply_records(feed.store, late)
    feed.store.reopen()
    assert apply_records(feed.store, late).refused == 1


def test_positions_that_cannot_be_read_fail_the_store(feed: Feed) -> None:
    """Whoever meets that error opens it again."""
    feed.apply(a_view())
    feed.store._connection.close()
    with pytest.raises(StoreFailed, match=r"the database failed \(ConnectionException\)"):
        feed.store.positions()
    feed.store.reopen()
    assert feed.store.positions()[VIEWS, 0].next_offset == 1


def test_a_failed_statement_fails_the_store_and_stays_its_cause(feed: Feed) -> None:
    """What is tidied up afterwards fails as well, for the transaction is aborted; that is not what the log must say."""
    decoded = decode([feed.record(a_view())])
    index = decoded.views.column_names.index("user_type")
    views = decoded.views.set_column(index, "user_type", [["Alien"]])
    move = Move(topic=VIEWS, partition=0, began=None, ends=Position(next_offset=1))
    with pytest.raises(StoreFailed, match="ConversionException"):
        feed.store.apply(replace(decoded, views=views), [move], decode)
    with pytest.raises(StoreFailed, match="was not reopened since"):
        feed.store.positions()


def test_a_batch_that_exceeds_the_memory_leaves_the_store_usable(paths: DatabaseFiles) -> None:
    names = ("user_name", "matter_name", "user_company_name", "user_member_office_name")
    with Store(replace(paths, memory_limit="12MB")) as store:
        apply_records(store, record_of(a_view(), 0, 0))
        large = [record_of(a_view(**dict.fromkeys(names, "x" * 1000)), 0, 1 + index) for index in range(12_000)]
        with pytest.raises(StoreFailed, match=r"(OutOfMemory|Transaction)Exception"):
            apply_records(store, *large)
        store.reopen()
        assert apply_records(store, *large[:10]).views == 10
        assert (len(stored_ids(store)), store.positions()[VIEWS, 0].next_offset) == (11, 11)


# A full disk

# Writes until the limit on a file's size is felt, opens the store again, and goes on with a limit twice as high.
FILL_THE_DISK = """
import json, resource, sys
from pathlib import Path
from matterlog.consumers.database import opening
from matterlog.consumers.errors import StoreFailed
from matterlog.consumers.database.store import Store
from testbed.events import a_view, record_of
from testbed.feed import VIEWS, apply_records, files_in, stored_ids

folder, opening.CHECKPOINT_THRESHOLD, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
events = [a_view() for _ in range(8_000)]
failures = []

def at(store):
    position = store.positions().get((VIEWS, 0))
    return position.next_offset if position else 0

def allow(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

with Store(files_in(folder)) as store:
    allow(limit)
    while (began := at(store)) < len(events):
        try:
            batch = enumerate(events[began : began + 100], began)
            apply_records(store, *(record_of(event, 0, offset) for offset, event in batch))
        except StoreFailed as error:
            limit *= 2
            allow(limit)
            store.reopen()
            failures.append([type(error.__cause__).__name__, at(store) - began])
    assert stored_ids(store) == {event.event_id for event in events}
with Store(files_in(folder)) as store:
    assert (len(stored_ids(store)), at(store)) == (len(events), len(events))
print(json.dumps(failures))
"""


@pytest.mark.parametrize(
    ("threshold", "committed"), [("256MB", 0), ("100KB", 100)], ids=["in the log", "in a checkpoint"]
)
def test_a_full_disk_loses_and_doubles_nothing(paths: DatabaseFiles, threshold: str, committed: int) -> None:
    """A log that cannot grow rejects the batch; a checkpoint that cannot be written raises after a durable COMMIT."""
    failures = json.loads(run_python(FILL_THE_DISK, paths.database.parent, threshold, 300_000))
    assert failures
    assert {moved for _, moved in failures} == {committed}


# Readers


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for readers and operators."""
    with ThreadPoolExecutor() as threads:
        yield threads


def started(pool: ThreadPoolExecutor, work: Callable[[Callable[[], None]], Any]) -> "Future[Any]":
    """Start work that says itself when it is under way; return when it has."""
    begun = threading.Event()
    future = pool.submit(work, begun.set)
    assert begun.wait(30)
    return future


def test_a_reader_sees_committed_states_alone(feed: Feed) -> None:
    """Within a transaction always the same one, while batches go on."""
    count = "SELECT count(*) FROM activity"
    feed.apply(a_view())
    with feed.store.reader() as reader:
        reader.execute("BEGIN")
        seen = [reader.execute(count).fetchall()]
        feed.apply(a_view(), a_view())
        feed.apply(a_deletion(), a_view(matter_id="m-2"))
        seen.append(reader.execute(count).fetchall())
        reader.execute("COMMIT")
        seen.append(reader.execute(count).fetchall())
    assert seen == [[(1,)], [(1,)], [(1,)]]
    assert rows(feed.store, "SELECT matter_id FROM activity") == [("m-2",)]


def test_a_reader_sees_nothing_of_a_batch_that_is_not_committed(feed: Feed) -> None:
    seen: list[list[Any]] = []

    def look_and_decode(records: Any) -> DecodedRecords:
        seen.extend([rows(feed.store, "FROM activity"), letters(feed.store)])
        return decode(records)

    feed.apply(feed.poison())
    feed.store.retry(None, look_and_decode)
    assert [len(found) for found in seen] == [0, 1]


def test_a_reader_blocks_no_batch(feed: Feed) -> None:
    feed.apply(*(a_view() for _ in range(5000)))
    with feed.store.reader() as reader:
        result = reader.execute("SELECT * FROM activity a, activity b")
        assert len(result.fetchmany(10)) == 10
        assert feed.apply(a_view(), a_deletion()).views_purged == 5000
        assert len(result.fetchmany(10)) == 10


def test_a_reader_is_interrupted_and_let_go_when_the_store_is_opened_again(
    feed: Feed, pool: ThreadPoolExecutor
) -> None:
    feed.apply(a_view())

    def read(begun: Callable[[], None]) -> None:
        with feed.store.reader() as reader:
            begun()
            reader.execute(LONG).fetchall()

    reading = started(pool, read)
    feed.store.reopen()
    assert isinstance(reading.exception(), duckdb.InterruptException)
    assert feed.apply(a_view()).views == 1


def test_a_reader_between_two_statements_is_interrupted_at_the_next(feed: Feed, pool: ThreadPoolExecutor) -> None:
    """One interruption would hit nothing, and the store would wait for the second statement in vain."""
    closing = threading.Event()

    def read(begun: Callable[[], None]) -> None:
        with feed.store.reader() as reader:
            begun()
            assert closing.wait(30)
            reader.execute(LONG).fetchall()

    reading = started(pool, read)
    interrupt = threading.Timer(0.2, closing.set)
    interrupt.start()
    feed.store.reopen()
    assert isinstance(reading.exception(), duckdb.InterruptException)


def test_a_reader_that_comes_while_the_store_is_opened_again_waits_for_it(
    feed: Feed, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.apply(a_view())
    late: list[Future[Any]] = []

    def open_late(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        late.append(pool.submit(rows, feed.store, "SELECT count(*) FROM activity"))
        with pytest.raises(TimeoutError):
            late[0].result(0.2)
        return opening.open_database(*arguments, **options)

    monkeypatch.setattr("matterlog.consumers.database.store.open_database", open_late)
    feed.store.reopen()
    assert late[0].result() == [(1,)]


def test_a_reader_that_never_lets_go_keeps_the_store_from_being_opened_again(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two instances of DuckDB on one file would destroy it."""
    monkeypatch.setattr("matterlog.consumers.database.readers.READERS_STOP_SECONDS", 0.1)
    with feed.store.reader():
        with pytest.raises(StoreFailed, match="a reader of the database does not stop"):
            feed.store.reopen()
        with pytest.raises(StoreFailed, match="was not reopened since"):
            feed.apply(a_view())
    feed.store.reopen()
    assert feed.store.positions() == {}


def test_every_reader_is_let_go_when_the_store_is_closed(paths: DatabaseFiles, pool: ThreadPoolExecutor) -> None:
    store = Store(paths)

    def read(begun: Callable[[], None]) -> None:
        with store.reader() as reader:
            begun()
            reader.execute(LONG).fetchall()

    readers = [started(pool, read) for _ in range(3)]
    store.close()
    assert [type(reader.exception()) for reader in readers] == [duckdb.InterruptException] * 3
    with Store(paths) as again:
        assert again.positions() == {}


# Two threads


def test_the_store_is_not_opened_again_beneath_an_operators_retry(feed: Feed, pool: ThreadPoolExecutor) -> None:
    """Its transaction would go on with the old connection, or with deletions that are out of date."""
    feed.apply(feed.poison())
    reopening: list[Future[None]] = []

    def decode_late(records: Any) -> DecodedRecords:
        reopening.append(pool.submit(feed.store.reopen))
        with pytest.raises(TimeoutError):
            reopening[0].result(0.2)
        return decode(records)

    assert feed.store.retry(None, decode_late).dead_letters == 1
    reopening[0].result()
    assert len(letters(feed.store)) == 1


def test_transactions_of_several_threads_take_turns(feed: Feed, pool: ThreadPoolExecutor) -> None:
    """The loop's batches and an operator's retries on one connection: nothing is mixed up, nothing lost."""
    feed.apply(*(feed.poison() for _ in range(3)))

    def operate() -> None:
        for _ in range(20):
            assert feed.store.retry(None, decode).records == 3
            assert feed.store.positions()[VIEWS, 0].next_offset >= 3

    operators = [pool.submit(operate) for _ in range(3)]
    applied = [feed.apply(a_view(), a_view()).views for _ in range(20)]
    assert [operator.result() for operator in operators] == [None] * 3
    assert (applied, len(stored_ids(feed.store))) == ([2] * 20, 40)
    assert len(letters(feed.store)) == 3


def test_opening_again_is_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        store.reopen()
    assert [record.getMessage() for record in caplog.records] == ["reopening the database"]


def test_a_damaged_block_is_called_so(tmp_path: Path) -> None:
    """The file opens: a block is looked at when it is read. The disk is not full."""
    paths = a_big_log(tmp_path, 100_000)
    data = bytearray(paths.database.read_bytes())
    data[len(data) // 2] ^= 4
    paths.database.write_bytes(data)
    says = r"a block of .*log\.duckdb is damaged"
    store = Store(paths)
    with pytest.raises(BlockDamaged, match=says):
        apply(store, a_deletion(matter_id="m-3"))
    store.close()
