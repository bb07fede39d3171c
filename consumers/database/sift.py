"""Sorts a batch's views: a view with a known event ID is a duplicate or, with other content, a conflict."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from matterlog.consumers.database.transaction import Transaction
from matterlog.consumers.errors import RecordsNotKept
from matterlog.consumers.reading.records import DecodedRecords, Reject, RejectKind, records_at


class SiftResult(NamedTuple):
    """The views that are new, the conflicts, and the duplicates with their ordinals; None where there are none."""

    new: pa.Table
    conflicts: Sequence[Reject] = ()
    duplicates: pa.Table | None = None


class _KnownView(NamedTuple):
    """A view whose event ID is known: how it compares with the first view with that ID."""

    differs: bool
    same_partition: bool


def sift(transaction: Transaction, views: pa.Table, decoded: DecodedRecords) -> SiftResult:
    """Sort the views of a batch by their event IDs into new ones, duplicates and conflicts.

    Args:
        transaction: the transaction that applies the batch.
        views: the batch's views that were not refused.
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
    # A duplicate in another partition than the row's would outlive the row's tombstone. A conflict in the row's own
    # partition would replace the row's record when the topic is compacted.
    to_bury = [ordinal for ordinal, view in known.items() if view.differs is view.same_partition]
    if to_bury:
        transaction.bury_views(numbered.filter(_has_ordinal(numbered, to_bury)), decoded.views_topic)
    conflicts = _conflicts(views, sorted(ordinal for ordinal, view in known.items() if view.differs), decoded)
    new = views.filter(pc.invert(_has_ordinal(numbered, known)))
    same = [ordinal for ordinal, view in known.items() if not view.differs]
    return SiftResult(new, conflicts, numbered.filter(_has_ordinal(numbered, same)))


def _known(transaction: Transaction, views: pa.Table) -> dict[int, _KnownView]:
    """Return the views whose event ID is known, by ordinal. A match in the table goes before one in the batch."""
    with transaction.incoming("views", views):
        ranges = transaction.rows("id_ranges")
        found = transaction.rows("repeated_views") if any(repeats for _, _, repeats in ranges) else []
        for lowest, highest, _ in ranges:
            found += _stored(transaction, views, lowest, highest)
    return {ordinal: _KnownView(differs, same) for ordinal, differs, same in found}


def _stored(transaction: Transaction, views: pa.Table, lowest: UUID, highest: UUID) -> list[tuple[Any, ...]]:
    """Return the views whose event ID is in the table and in this range of IDs."""
    bounds = {"lowest": lowest, "highest": highest}
    ordinals = [ordinal for (ordinal,) in transaction.rows("known_ids", **bounds)]
    if not ordinals:
        return []
    with transaction.incoming("known", views.filter(_has_ordinal(views, ordinals))):
        return transaction.rows("known_views", **bounds)


def _has_ordinal(views: pa.Table, ordinals: Iterable[int]) -> pa.ChunkedArray:
    return pc.is_in(views["ordinal"], value_set=pa.array(ordinals, pa.int64()))


def _conflicts(views: pa.Table, ordinals: Sequence[int], decoded: DecodedRecords) -> list[Reject]:
    """Return the views with these ordinals as rejects, each with its record."""
    if not ordinals:
        return []
    if decoded.kept_records is None:
        raise RecordsNotKept
    rows = views.take(ordinals).select(["kafka_partition", "kafka_offset", "matter_id"]).to_pylist()
    places = [(row["kafka_partition"], row["kafka_offset"]) for row in rows]
    records = records_at(set(places), decoded.views_topic, decoded.kept_records)
    why = "the event ID is already stored with other content"
    return [
        Reject(records[place], RejectKind.CONFLICT, why, row["matter_id"])
        for place, row in zip(places, rows, strict=True)
    ]
