"""What was fetched and decoded piece by piece is one batch."""

from dataclasses import replace
from itertools import chain
from typing import Final

from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import DecodedRecords, Move, Position, Record, joined, joined_moves
from matterlog.schemas import Topics
from testbed.events import a_deletion, a_view, record_of

TOPICS: Final = Topics()
RECORDS: Final = [
    record_of(a_view(), 0, 0),
    record_of(a_view(), 1, 0)._replace(value=b"poison"),
    record_of(a_deletion(), 0, 0),
    record_of(a_view(), 0, 1)._replace(value=None),
    record_of(a_view(), 1, 1),
]


def decoded(records: list[Record]) -> DecodedRecords:
    return decode_records(records, TOPICS)


def a_move(began: int | None, ends: int, *, partition: int = 0, timestamp_ms: int | None = None) -> Move:
    return Move(
        topic="t", partition=partition, began=began, ends=Position(next_offset=ends, last_timestamp_ms=timestamp_ms)
    )


def test_pieces_are_what_their_records_are_together() -> None:
    """Wherever they are cut."""
    whole = decoded(RECORDS)
    for cut in range(1, len(RECORDS)):
        pieces = joined([decoded(RECORDS[:cut]), decoded(RECORDS[cut:])])
        assert pieces.views.equals(whole.views)
        assert pieces.deletions.equals(whole.deletions)
        assert (pieces.records, pieces.rejects, pieces.tombstones) == (5, whole.rejects, 1)
        assert [*chain.from_iterable(pieces.kept_records or ())] == [*chain.from_iterable(whole.kept_records or ())]
        assert pieces.views_topic == whole.views_topic


def test_records_are_kept_of_all_pieces_or_of_none() -> None:
    """A batch that knew some of its records would seem to know them all."""
    first, second = decoded(RECORDS[:2]), decoded(RECORDS[2:])
    assert joined([first, replace(second, kept_records=None)]).kept_records is None


def test_a_partitions_moves_are_one_from_the_first_beginning_to_the_last_end() -> None:
    """Each partition apart; one that was never read keeps that."""
    moves = [a_move(None, 5), a_move(7, 8, partition=1), a_move(5, 9)]
    assert joined_moves(moves) == (a_move(None, 9), a_move(7, 8, partition=1))


def test_an_end_that_is_reached_without_a_record_keeps_the_last_records_timestamp() -> None:
    """It tells a topic that was made anew."""
    assert joined_moves([a_move(0, 5, timestamp_ms=17), a_move(5, 6)]) == (a_move(0, 6, timestamp_ms=17),)
