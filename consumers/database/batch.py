"""Rules for applying one batch in one transaction, in their order.

State = all valid views ever seen minus the views of deleted matters. Both sets only grow, so the result does not depend
on the order of records, on repetitions, or on the boundaries of batches.

1. The positions move first and are checked: a batch that does not begin at the stored positions fails here.
2. Deletions are recorded, and the newly deleted matters are purged from the log, before anything is inserted.
3. When the stored view of a conflict is purged, the conflict is over: its dead letter is retried in the same
   transaction, as if the deletion had come first. It was read before this batch, so it comes before the batch's views.
4. A view of a deleted matter is removed from the Arrow table and never reaches DuckDB: even rows that are inserted and
   rolled back stay readable in its file.
5. A view whose event ID is known is a duplicate. With other content it is a conflict, kept as a dead letter.
6. Rejects are kept whole as dead letters, except those of deleted matters.

Records that stay in the topic but are not in the log are buried (``transaction.py``).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from matterlog.consumers.database.dead_letters import DeadLetter, keep_dead_letters, take_dead_letters
from matterlog.consumers.database.purge import PurgeResult, Refusal, purge
from matterlog.consumers.database.sift import sift
from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.errors import RegistryUnavailable
from matterlog.consumers.reading.records import DecodedRecords, Move, Record, Reject, RejectKind

logger = logging.getLogger(__name__)

# Decodes records.
Decode = Callable[[Sequence[Record]], DecodedRecords]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The result of a batch. Each record is counted in exactly one of the six kinds after ``records``.

    A retried dead letter counts as a record again.
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
        return type(self)(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch that is being applied to the log.

    Args:
        transaction: the transaction that applies it.
        deleted: the matters that were deleted before, as an Arrow array.
        recall: called once with the newly deleted matters before their views are removed. Not called without any.
        retrying: whether the batch consists of dead letters, whose bytes are in the file already.
    """

    transaction: Transaction
    deleted: pa.Array
    recall: Callable[[Sequence[str]], None]
    retrying: bool = False

    def apply(self, decoded: DecodedRecords, moves: Sequence[Move], decode: Decode | None) -> BatchResult:
        """Apply the batch: all steps in their order.

        Raises:
            PositionMoved: the batch does not begin at the stored positions.
            RecordsNotKept: a view is in conflict with another one, and the batch came without its records.
        """
        self.transaction.move(moves)
        matters = self._newly_deleted(decoded.deletions)
        purged = self._purge(decoded, matters)
        self._are_there("deletions", decoded.deletions)
        deleted = pa.concat_arrays([self.deleted, pa.array(matters, pa.string())])
        refusal = Refusal(self.transaction, deleted, self.retrying)
        settled = BatchResult()
        if decode and purged.settled:
            settled = self._settle(take_dead_letters(self.transaction, purged.settled), decode, refusal)
        admitted = self._admit(decoded, refusal)
        return settled + admitted + BatchResult(matters_deleted=tuple(matters), views_purged=purged.views)

    def _newly_deleted(self, deletions: pa.Table) -> list[str]:
        """Return the matters that this batch deletes and no earlier batch did."""
        matters = pc.unique(deletions["matter_id"])
        new: list[str] = matters.filter(pc.invert(pc.is_in(matters, value_set=self.deleted))).to_pylist()
        return new

    def _purge(self, decoded: DecodedRecords, matters: Sequence[str]) -> PurgeResult:
        if not matters:
            return PurgeResult()
        self.recall(matters)
        return purge(self.transaction, decoded.deletions, matters, decoded.views_topic)

    def _settle(self, letters: Sequence[DeadLetter], decode: Decode, refusal: Refusal) -> BatchResult:
        """Admit the views of conflicts that are over. All letters were views, so none of them deletes a matter.

        Without the schema registry they stay dead letters until they are retried: no deletion waits for it.
        """
        try:
            decoded = decode([letter.record for letter in letters])
        except RegistryUnavailable as error:
            logger.warning(
                "%d conflicts that are over stay dead letters until they are retried: %s", len(letters), error
            )
            rejects = [Reject(each.record, RejectKind.CONFLICT, each.error_detail, each.matter_id) for each in letters]
            keep_dead_letters(self.transaction, refusal.refuse_rejects(rejects))
            return BatchResult()
        return self._admit(decoded, refusal)

    def _admit(self, decoded: DecodedRecords, refusal: Refusal) -> BatchResult:
        """Insert the new views of matters that are not deleted. Keep rejects and conflicts as dead letters."""
        views = refusal.refuse_views(decoded.views, decoded.views_topic)
        sifted = sift(self.transaction, views, decoded)
        if sifted.new.num_rows:
            with self.transaction.incoming("views", sifted.new.combine_chunks()):
                self.transaction.run("insert_views", arrival=self.transaction.arrival)
        duplicates = sifted.duplicates
        if duplicates is not None:
            self._are_there("views", duplicates)
        rejects = (*decoded.rejects, *sifted.conflicts)
        living = refusal.refuse_rejects(rejects)
        kept = keep_dead_letters(self.transaction, living)
        return BatchResult(
            records=decoded.records,
            views=sifted.new.num_rows,
            duplicates=(0 if duplicates is None else duplicates.num_rows) + len(living) - kept,
            refused=decoded.views.num_rows - views.num_rows + len(rejects) - len(living),
            deletions=decoded.deletions.num_rows,
            tombstones=decoded.tombstones,
            dead_letters=kept,
        )

    def _are_there(self, kind: str, events: pa.Table) -> None:
        """Say that the topics have these events, which the log holds already."""
        if events.num_rows and self.transaction.has_doubts():
            with self.transaction.incoming("deletions" if kind == "deletions" else "there", events):
                self.transaction.run(f"{kind}_are_there")
