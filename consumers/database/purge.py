"""Effects of a deletion: the matter's views and dead letters are purged, and later ones are refused.

Both are counted in the matter's receipt. Both are buried, so that they are removed from the topic too.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from matterlog.consumers.database.dead_letters import DeadLetterAddress
from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.reading.records import Reject

# One DELETE of five million rows can abort the process (duckdb#21749). A tenth of that is safe.
MAX_DELETED_ROWS_A_STATEMENT: Final = 500_000


class PurgeResult(NamedTuple):
    """The number of purged views, and the dead letters that were in conflict with one of them."""

    views: int = 0
    settled: Sequence[DeadLetterAddress] = ()


def purge(transaction: Transaction, deletions: pa.Table, matters: Sequence[str], topic: str) -> PurgeResult:
    """Record newly deleted matters, and remove their views and dead letters.

    Args:
        transaction: the transaction to use.
        deletions: deletions as DELETION_COLUMNS, possibly of other matters too.
        matters: the newly deleted matters, at least one.
        topic: the topic of views.
    """
    done = {"now": transaction.now, "arrival": transaction.arrival}
    with transaction.incoming("purges", pa.table({"matter_id": matters})):
        transaction.run("remember_purges", **done)
    # Before anything else is buried: the receipts count the rows that this statement buries.
    views = transaction.run("bury_views", topic=topic, **done)
    with transaction.incoming("deletions", deletions):
        transaction.run("record_purges", **done)
    if transaction.has_doubts():
        transaction.run("forget_database_only", arrival=transaction.arrival)
    settled = _purge_dead_letters(transaction)
    _delete_views(transaction, views)
    return PurgeResult(views, settled)


def _purge_dead_letters(transaction: Transaction) -> list[DeadLetterAddress]:
    """Remove the dead letters of newly deleted matters. Return those that were in conflict with one of their views."""
    if transaction.rows("dead_letters_kept") == [(False,)]:
        return []
    settled = transaction.rows("settled_conflicts", arrival=transaction.arrival)
    transaction.run("bury_dead_letters", now=transaction.now, arrival=transaction.arrival)
    transaction.run("count_purged_dead_letters", arrival=transaction.arrival)
    transaction.run("purge_dead_letters", arrival=transaction.arrival)
    return [DeadLetterAddress(*address) for address in settled]


def _delete_views(transaction: Transaction, views: int) -> None:
    """Remove the views of newly deleted matters (``views`` is their number)."""
    slices = {"arrival": transaction.arrival, "rows": MAX_DELETED_ROWS_A_STATEMENT}
    while views > MAX_DELETED_ROWS_A_STATEMENT:
        views -= transaction.run("delete_some_views", **slices)
    if views:
        transaction.run("delete_views", arrival=transaction.arrival)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refusal of views and rejects of deleted matters, in one transaction.

    Args:
        transaction: the transaction to use.
        deleted: the deleted matters as an Arrow array, including those that this transaction deletes.
        retrying: whether the records are dead letters, whose bytes are in the file already.
    """

    transaction: Transaction
    deleted: pa.Array
    retrying: bool

    def refuse_views(self, views: pa.Table, topic: str) -> pa.Table:
        """Refuse the views of deleted matters, which are in this topic. Return the others."""
        late = pc.is_in(views["matter_id"], value_set=self.deleted)
        if not pc.any(late).as_py():
            return views
        refused = views.filter(late)
        counts = refused.group_by("matter_id").aggregate([([], "count_all")]).rename_columns(["matter_id", "views"])
        self._count(counts)
        self.transaction.bury_views(refused, topic)
        return views.filter(pc.invert(late))

    def refuse_rejects(self, rejects: Sequence[Reject]) -> list[Reject]:
        """Refuse the rejects that are known to be of deleted matters. Return the others."""
        gone = set(self.deleted.to_pylist()) if any(reject.matter_id for reject in rejects) else set()
        refused = [reject for reject in rejects if reject.matter_id in gone]
        if refused:
            counts = Counter(reject.matter_id for reject in refused)
            self._count(pa.table({"matter_id": list(counts), "views": list(counts.values())}))
            records = [(reject.record, reject.matter_id) for reject in refused]
            self.transaction.bury((one.topic, one.partition, one.key, matter) for one, matter in records)
        return [reject for reject in rejects if reject.matter_id not in gone]

    def _count(self, counts: pa.Table) -> None:
        with self.transaction.incoming("refused", counts):
            self.transaction.run("count_refused_views")
            if self.retrying:
                self.transaction.run("remember_refused", now=self.transaction.now, arrival=self.transaction.arrival)
                self.transaction.run("take_back_file_erasure")
