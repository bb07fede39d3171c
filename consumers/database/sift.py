"""Which of a batch's views are new: a known event ID is a duplicate, or with other content a conflict."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.errors import RecordsNotKept
from matterlog.consumers.reading.records import DecodedRecords, Record, Reject, RejectKind


class SiftResult(NamedTuple):
    """The views that are new, the conflicts, and the duplicates with their ordinals; None where there are none."""

    new: pa.Table
    conflicts: Sequence[Reject] = ()
    duplicates: pa.Table | None = None


class _KnownView(NamedTuple):
    """A view whose event ID is known: its matter, and how it compares with the view that has the ID."""

    matter: str
    differs: bool
    same_partition: bool


def sift(transaction: Transaction, views: pa.Table, decoded: DecodedRecords) -> SiftResult:
    """Sift the views of a batch by their event IDs.

    Args:
        transaction: in which.
        views: those of the batch that were not refused.
        decoded: the batch.

    Raises:
        RecordsNotKept: a view is in conflict with another one, and the batch came without its records.
    """
    if not views.num_rows:
        return SiftResult(views)
    numbered = views.append_column("ordinal", pa.arange(0, views.num_rows))
    known = _known(transaction, numbered)
    if not known:
        return SiftResult(views)
    # A copy in another partition than the row's would outlive the row's tombstone. Other content in the row's own
    # partition would, for compaction, take the place of the row's record.
    odd = [ordinal for ordinal, view in known.items() if view.differs is view.same_partition]
    if odd:
        transaction.bury_views(numbered.filter(_has_ordinal(numbered, odd)), decoded.views_topic)
    conflicts = [
        Reject(
            _record_of(views, ordinal, decoded),
            RejectKind.CONFLICT,
            "the event's ID is known with other content",
            view.matter,
        )
        for ordinal, view in sorted(known.items())
        if view.differs
    ]
    new = views.filter(pc.invert(_has_ordinal(numbered, known)))
    same = [ordinal for ordinal, view in known.items() if not view.differs]
    return SiftResult(new, conflicts, numbered.filter(_has_ordinal(numbered, same)))


def _known(transaction: Transaction, views: pa.Table) -> dict[int, _KnownView]:
    """Return the views whose event ID is known, by their ordinals; the table's word goes before the batch's."""
    with transaction.incoming("views", views):
        ranges = transaction.rows("id_ranges")
        known = dict(_repeated(transaction)) if any(repeats for _, _, repeats in ranges) else {}
        for lowest, highest, _ in ranges:
            known |= dict(_stored(transaction, views, lowest, highest))
    return known


def _stored(transaction: Transaction, views: pa.Table, lowest: UUID, highest: UUID) -> Iterator[tuple[int, _KnownView]]:
    """Give the views whose event ID is in the table, of those in a range of IDs."""
    bounds = {"lowest": lowest, "highest": highest}
    ordinals = [ordinal for (ordinal,) in transaction.rows("known_ids", **bounds)]
    if ordinals:
        with transaction.incoming("known", views.filter(_has_ordinal(views, ordinals))):
            found = transaction.rows("known_views", **bounds)
        yield from ((ordinal, _KnownView(matter, differs, same)) for ordinal, matter, differs, same in found)


def _repeated(transaction: Transaction) -> Iterator[tuple[int, _KnownView]]:
    """Give the views whose event ID stood earlier in the batch."""
    found = transaction.rows("repeated_views")
    yield from ((ordinal, _KnownView(matter, differs, same)) for ordinal, matter, differs, same in found)


def _has_ordinal(views: pa.Table, ordinals: Iterable[int]) -> pa.ChunkedArray:
    return pc.is_in(views["ordinal"], value_set=pa.array(ordinals, pa.int64()))


def _record_of(views: pa.Table, ordinal: int, decoded: DecodedRecords) -> Record:
    if decoded.view_records is None:
        raise RecordsNotKept
    row = views.slice(ordinal, 1)
    return decoded.view_records[row["kafka_partition"][0].as_py(), row["kafka_offset"][0].as_py()]
