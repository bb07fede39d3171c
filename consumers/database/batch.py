"""One batch applied inside an open transaction, step by step.

The rule: state = all valid views ever seen minus the views of deleted matters. Both sides only grow, so neither the
order of records nor their repetition nor where batches are cut makes a difference.

1. The positions move first, checked against where they stood: a batch that does not fit stops here.
2. Deletions are recorded before anything is inserted.
3. A view of a deleted matter is taken out of the Arrow table and never reaches DuckDB: even rows that are inserted and
   rolled back stay readable in its file.
4. An event ID that is known already is a duplicate; with other content it is a conflict, kept as a dead letter. When
   the known view is purged, the conflict is over: the dead letter is tried again in the same transaction, as if the
   deletion had come first.
5. Whatever the topic holds and the log does not is *buried*: its key stands in ``tombstones`` from this transaction on,
   so that the topic is rid of it too (``tombstones.py``).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final, Self
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from matterlog.consumers.database.dead_letters import SQL as DEAD_LETTERS_SQL
from matterlog.consumers.database.dead_letters import DeadLetter, DeadLetterAddress, chosen, list_dead_letters
from matterlog.consumers.errors import PositionMoved, RecordsNotKept
from matterlog.consumers.reading.records import Decoded, Gap, Move, Record, Reject, RejectKind, table_of
from matterlog.schemas.statements import load_statements

SQL: Final = load_statements(__package__, "apply.sql")

# One DELETE of five million rows can abort the process (duckdb#21749); a tenth of that is safe.
MAX_DELETED_ROWS_A_STATEMENT: Final = 500_000
# Kafka's timestamps are whatever a client wrote; beyond the calendar's last year they are not kept.
_END_OF_CALENDAR_MS: Final = 253_402_300_800_000

_MOVES: Final = pa.schema(
    {
        "topic": pa.string(),
        "kafka_partition": pa.int32(),
        "began": pa.int64(),
        "next_offset": pa.int64(),
        "topic_id": pa.string(),
        "last_timestamp": pa.timestamp("ms"),
    }
)
_BURIED: Final = pa.schema(
    {"topic": pa.string(), "kafka_partition": pa.int32(), "key": pa.binary(), "matter_id": pa.string()}
)
_HEADER: Final = pa.struct([pa.field("name", pa.string()), pa.field("value", pa.binary())])
_REJECTS: Final = pa.schema(
    {
        "topic": pa.string(),
        "kafka_partition": pa.int32(),
        "kafka_offset": pa.int64(),
        "kafka_timestamp": pa.timestamp("ms"),
        "key": pa.binary(),
        "headers": pa.list_(_HEADER),
        "payload": pa.binary(),
        "error_kind": pa.string(),
        "error_detail": pa.string(),
        "matter_id": pa.string(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a batch did: each record is counted in exactly one of the six kinds after ``records``.

    A dead letter that is tried again is a record again.
    """

    records: int = 0
    views: int = 0
    duplicates: int = 0
    refused: int = 0
    deletions: int = 0
    tombstones: int = 0
    dead_letters: int = 0
    matters_deleted: tuple[str, ...] = ()
    views_purged: int = 0

    def __add__(self, other: Self) -> Self:
        """What both did."""
        return type(self)(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


@dataclass(slots=True)
class BatchTransaction:
    """The steps of one batch, on a connection inside an open transaction.

    Args:
        connection: the writer's connection.
        deleted: the matters that are deleted, as an Arrow array; grows with what is applied.
        now: the instant that is written beside what is done.
        arrival: the transaction's number.
        retrying: the batch is of dead letters, whose bytes are in the file already.
        recall: called with matters before their views are removed.
    """

    connection: duckdb.DuckDBPyConnection
    deleted: pa.Array
    now: datetime
    arrival: int
    retrying: bool = False
    recall: Callable[[Sequence[str]], None] = lambda _: None

    def apply(
        self,
        decoded: Decoded,
        moves: Sequence[Move],
        decode: Callable[[Sequence[Record]], Decoded] | None,
    ) -> Applied:
        """Do all steps.

        Raises:
            PositionMoved: the batch does not begin where the database stands.
            RecordsNotKept: a view is in conflict with another one, and the batch came without its records.
        """
        self.move(moves)
        matters = self._newly_deleted(decoded.deletions)
        purged, settled = self._purge(decoded.deletions, matters, decoded.views_topic)
        self.deleted = pa.concat_arrays([self.deleted, pa.array(matters, pa.string())])
        # Conflicts that are over were read before this batch, so they come before its views.
        again = self.apply(decode(self._take(settled)), (), decode) if decode and settled else Applied()
        views = self._refuse(decoded.views, decoded.views_topic)
        accepted, conflicts, duplicates = self._sift(views, decoded)
        self._insert(accepted)
        rejects = self._still_alive((*decoded.rejects, *conflicts))
        self._keep(rejects)
        return again + Applied(
            records=decoded.records,
            views=accepted.num_rows,
            duplicates=duplicates,
            refused=decoded.views.num_rows - views.num_rows + len(decoded.rejects) + len(conflicts) - len(rejects),
            deletions=decoded.deletions.num_rows,
            tombstones=decoded.tombstones,
            dead_letters=len(rejects),
            matters_deleted=tuple(matters),
            views_purged=purged,
        )

    def move(self, moves: Sequence[Move]) -> None:
        """Move the positions, each checked against where it stood."""
        rows = [
            (m.topic, m.partition, m.began, m.ends.next_offset, m.ends.topic_id, _calendar_ms(m.ends.last_timestamp_ms))
            for m in moves
        ]
        stands = {(topic, number): at for topic, number, at, *_ in self.connection.execute(SQL["positions"]).fetchall()}
        for m in moves:
            if (at := stands.get((m.topic, m.partition))) != m.began:
                raise PositionMoved(
                    f"{m.topic} [{m.partition}]: the batch begins at {m.began}, the database stands at {at}"
                )
        with self._incoming("moves", table_of(rows, _MOVES)):
            self._run("move_positions", now=self.now)
            if any(move.began is None for move in moves):
                self._run("begin_positions", now=self.now)

    def record_gaps(self, gaps: Sequence[Gap]) -> None:
        """Record offsets that expired before they were read."""
        rows = [(g.topic, g.partition, g.first_missing, g.next_available) for g in gaps]
        names = ["topic", "kafka_partition", "first_missing", "next_available"]
        table = pa.table([list(column) for column in zip(*rows, strict=True)], names=names)
        with self._incoming("gaps", table):
            self._run("record_gaps", now=self.now)

    def remove_dead_letters(self, addresses: Sequence[DeadLetterAddress]) -> None:
        """Remove the dead letters at these addresses."""
        if addresses:
            columns = zip(*addresses, strict=True)
            names = ["topic", "kafka_partition", "kafka_offset"]
            with self._incoming("addresses", pa.table([list(column) for column in columns], names=names)):
                self.connection.execute(DEAD_LETTERS_SQL["remove"])

    def remember_discard(self) -> None:
        """Remember that the file still holds what an operator discarded."""
        self._run("remember_discard", now=self.now, arrival=self.arrival)

    def bury(self, rejects: Sequence[Reject | DeadLetter]) -> None:
        """Have the topics rid of these records."""
        rows = [(r.record.topic, r.record.partition, r.record.key, r.matter_id) for r in rejects]
        if rows:
            self._bury(table_of(rows, _BURIED))

    def _bury(self, keys: pa.Table) -> None:
        with self._incoming("buried", keys):
            self._run("bury_records", now=self.now, arrival=self.arrival)

    def _take(self, addresses: Sequence[DeadLetterAddress]) -> list[Record]:
        """Remove the dead letters at these addresses and return their records."""
        letters = chosen(list_dead_letters(self.connection), addresses)
        self.remove_dead_letters(addresses)
        return [letter.record for letter in letters]

    def _newly_deleted(self, deletions: pa.Table) -> list[str]:
        """Return the matters that this batch deletes and no batch before did."""
        matters = pc.unique(deletions["matter_id"])
        new: list[str] = matters.filter(pc.invert(pc.is_in(matters, value_set=self.deleted))).to_pylist()
        return new

    def _purge(self, deletions: pa.Table, matters: list[str], topic: str) -> tuple[int, list[DeadLetterAddress]]:
        """Record newly deleted matters, and remove what the log holds of them, counted into their receipts.

        Returns:
            How many views that were, and the dead letters whose conflict was with one of them.
        """
        if not matters:
            return 0, []
        self.recall(matters)
        done = {"now": self.now, "arrival": self.arrival}
        with self._incoming("purges", pa.table({"matter_id": matters})):
            self._run("remember_purges", **done)
        # Before anything else is buried: the receipts are counted from this.
        views = self._run("bury_views", topic=topic, **done)
        with self._incoming("deletions", deletions):
            self._run("record_purges", **done)
        settled = self._purge_dead_letters()
        self._delete_views(views)
        return views, settled

    def _purge_dead_letters(self) -> list[DeadLetterAddress]:
        """Remove the dead letters of newly deleted matters; return those that were in conflict with a view of one."""
        if self.connection.execute(SQL["dead_letters_kept"]).fetchall() == [(False,)]:
            return []
        settled = self.connection.execute(SQL["settled_conflicts"], {"arrival": self.arrival}).fetchall()
        self._run("bury_dead_letters", now=self.now, arrival=self.arrival)
        self._run("count_purged_dead_letters", arrival=self.arrival)
        self._run("purge_dead_letters", arrival=self.arrival)
        return [DeadLetterAddress(*address) for address in settled]

    def _delete_views(self, views: int) -> None:
        """Remove the views of newly deleted matters, so many there are."""
        while views > MAX_DELETED_ROWS_A_STATEMENT:
            views -= self._run("delete_some_views", arrival=self.arrival, rows=MAX_DELETED_ROWS_A_STATEMENT)
        if views:
            self._run("delete_views", arrival=self.arrival)

    def _refuse(self, views: pa.Table, topic: str) -> pa.Table:
        """Take out the views of deleted matters, counted into the matters' receipts."""
        late = pc.is_in(views["matter_id"], value_set=self.deleted)
        if not pc.any(late).as_py():
            return views
        refused = views.filter(late)
        counts = refused.group_by("matter_id").aggregate([([], "count_all")]).rename_columns(["matter_id", "views"])
        self._count_refused(counts)
        self._bury(_keys_of(refused, topic))
        return views.filter(pc.invert(late))

    def _count_refused(self, counts: pa.Table) -> None:
        """Count refused views into their matters' receipts; those that came as dead letters are in the file."""
        with self._incoming("refused", counts):
            self._run("count_refused_views")
            if self.retrying:
                self._run("remember_refused", now=self.now, arrival=self.arrival)
                self._run("take_back_file_erasure")

    def _sift(self, views: pa.Table, decoded: Decoded) -> tuple[pa.Table, list[Reject], int]:
        """Return the views whose event ID is new, the conflicts, and how many were duplicates."""
        views = views.append_column("ordinal", pa.arange(0, views.num_rows))
        if not views.num_rows:
            return views, [], 0
        with self._incoming("views", views):
            ranges = self.connection.execute(SQL["id_ranges"]).fetchall()
            known = dict(self._repeated()) if any(repeats for _, _, repeats in ranges) else {}
            known |= dict(self._known(views, [(lowest, highest) for lowest, highest, _ in ranges]))
        accepted = views.filter(pc.invert(_has_ordinal(views, known))) if known else views
        # A copy in another partition than the row's would outlive the row's tombstone. Other content in the row's own
        # partition would, for compaction, take the place of the row's record.
        odd = [ordinal for ordinal, (_, differs, same_partition) in known.items() if differs is same_partition]
        if odd:
            self._bury(_keys_of(views.filter(_has_ordinal(views, odd)), decoded.views_topic))
        conflicts = [
            Reject(
                _record_of(views, ordinal, decoded),
                RejectKind.CONFLICT,
                "the event's ID is known with other content",
                matter,
            )
            for ordinal, (matter, differs, _) in sorted(known.items())
            if differs
        ]
        return accepted, conflicts, len(known) - len(conflicts)

    def _known(
        self, views: pa.Table, ranges: Sequence[tuple[UUID, UUID]]
    ) -> Iterator[tuple[int, tuple[str, bool, bool]]]:
        for lowest, highest in ranges:
            bounds = {"lowest": lowest, "highest": highest}
            ordinals = [ordinal for (ordinal,) in self.connection.execute(SQL["known_ids"], bounds).fetchall()]
            if ordinals:
                with self._incoming("known", views.filter(_has_ordinal(views, ordinals))):
                    found = self.connection.execute(SQL["known_views"], bounds).fetchall()
                yield from ((ordinal, (matter, differs, same)) for ordinal, matter, differs, same in found)

    def _repeated(self) -> Iterator[tuple[int, tuple[str, bool, bool]]]:
        found = self.connection.execute(SQL["repeated_views"]).fetchall()
        yield from ((ordinal, (matter, differs, same)) for ordinal, matter, differs, same in found)

    def _insert(self, accepted: pa.Table) -> None:
        if accepted.num_rows:
            with self._incoming("views", accepted.drop_columns("ordinal").combine_chunks()):
                self._run("insert_views", arrival=self.arrival)

    def _still_alive(self, rejects: Sequence[Reject]) -> list[Reject]:
        """Leave out the rejects that are known to belong to deleted matters, counted into the matters' receipts."""
        gone = set(self.deleted.to_pylist()) if any(reject.matter_id for reject in rejects) else set()
        refused = Counter(reject.matter_id for reject in rejects if reject.matter_id in gone)
        if refused:
            self._count_refused(pa.table({"matter_id": list(refused), "views": list(refused.values())}))
            self.bury([reject for reject in rejects if reject.matter_id in gone])
        return [reject for reject in rejects if reject.matter_id not in gone]

    def _keep(self, rejects: Sequence[Reject]) -> None:
        if rejects:
            with self._incoming("rejects", table_of([_reject_row(reject) for reject in rejects], _REJECTS)):
                self._run("keep_dead_letters", now=self.now)

    def _run(self, name: str, **values: object) -> int:
        """Run a statement that changes rows; return how many it changed."""
        (changed,) = self.connection.execute(SQL[name], values).fetchall()[0]
        return int(changed)

    def _incoming(self, name: str, table: pa.Table) -> AbstractContextManager[None]:
        return incoming(self.connection, name, table)


@contextmanager
def incoming(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Let statements see an Arrow table as ``incoming_<name>``."""
    connection.register(f"incoming_{name}", table)
    try:
        yield
    finally:
        # An aborted transaction refuses this too; its own error must stay the one that is seen.
        with suppress(duckdb.Error):
            connection.unregister(f"incoming_{name}")


def _has_ordinal(views: pa.Table, ordinals: Iterable[int]) -> pa.ChunkedArray:
    return pc.is_in(views["ordinal"], value_set=pa.array(ordinals, pa.int64()))


def _keys_of(views: pa.Table, topic: str) -> pa.Table:
    """Return views as rows of _BURIED."""
    keys = pa.array([str(event_id).encode() for event_id in views["event_id"].to_pylist()], pa.binary())
    columns = [pa.repeat(topic, views.num_rows), views["kafka_partition"], keys, views["matter_id"]]
    return pa.Table.from_arrays(columns, schema=_BURIED)


def _record_of(views: pa.Table, ordinal: int, decoded: Decoded) -> Record:
    if decoded.view_records is None:
        raise RecordsNotKept
    row = views.slice(ordinal, 1)
    return decoded.view_records[row["kafka_partition"][0].as_py(), row["kafka_offset"][0].as_py()]


def _calendar_ms(timestamp_ms: int | None) -> int | None:
    """Return a timestamp if a TIMESTAMP holds it and a person can read it."""
    return timestamp_ms if timestamp_ms is not None and 0 <= timestamp_ms < _END_OF_CALENDAR_MS else None


def _reject_row(reject: Reject) -> tuple[object, ...]:
    record = reject.record
    return (
        record.topic,
        record.partition,
        record.offset,
        _calendar_ms(record.timestamp_ms),
        record.key,
        [{"name": name, "value": value} for name, value in record.headers],
        record.value,
        str(reject.kind),
        reject.detail,
        reject.matter_id,
    )
