"""Views of a simulated law firm, many at once, as columns and as Kafka messages. A view depends only on its number."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final
from uuid import UUID

import duckdb
import pyarrow as pa
import pyruhvro

from matterlog.app.demo.firm import Firm, Seat
from matterlog.consumers.reading.fast_decode import without_uuid
from matterlog.consumers.reading.records import EVENT_COLUMNS, micros_of
from matterlog.schemas.codec import SINGLE_OBJECT_MARKER, Schema
from matterlog.schemas.columns import VIEW_FIELDS
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements("benchmarks", "simulated.sql", fields=", ".join(VIEW_FIELDS))
UNTIL: Final = datetime(2026, 11, 1, tzinfo=UTC)
DAYS: Final = timedelta(days=120)
SLICE_VIEWS: Final = 50_000
# EVENT_COLUMNS, with the event's ID as text.
_WRITTEN: Final = EVENT_COLUMNS.set(0, pa.field("event_id", pa.string()))


def make_firm() -> Firm:
    """Return a firm of 5,000 users and 2,000 matters."""
    return Firm.make(seed=1, matters=2_000, users=5_000)


class Simulation:
    """A firm's numbered views over the time before ``until``.

    Args:
        count: the number of views.
        until: the end of the period.
        firm: whose views; None for that of ``make_firm``.
        lasts: the length of the period.
    """

    def __init__(
        self, count: int, until: datetime = UNTIL, *, firm: Firm | None = None, lasts: timedelta = DAYS
    ) -> None:
        self.count = count
        self._since_us = micros_of(until - lasts)
        self._span_us = lasts // timedelta(microseconds=1)
        self._connection = duckdb.connect(":memory:")
        self._connection.register("seats", _seats(firm or make_firm()))

    def slices(self) -> Iterator[pa.Table]:
        """Return all views in slices, as EVENT_COLUMNS, in the order of time and event ID."""
        return (self.views(first, min(first + SLICE_VIEWS, self.count)) for first in range(0, self.count, SLICE_VIEWS))

    def views(self, first: int, last: int) -> pa.Table:
        """Return the views from number ``first`` up to, but not including, ``last``."""
        values = {
            "first": first,
            "last": last,
            "count": self.count,
            "since_us": self._since_us,
            "span_us": self._span_us,
        }
        return self._connection.execute(SQL["views"], values).to_arrow_table().cast(_WRITTEN)


def _seats(firm: Firm) -> pa.Table:
    """Return a firm's seats, each with the start of its share of the views, from 0.0 to 1.0."""
    total = sum(seat.weight for seat in firm.seats)
    edges = accumulate((seat.weight / total for seat in firm.seats[:-1]), initial=0.0)
    return pa.Table.from_pylist([{**_row(seat), "edge": edge} for seat, edge in zip(firm.seats, edges, strict=True)])


def _row(seat: Seat) -> dict[str, object]:
    view = Firm.view_of(seat.person, seat.matter, UNTIL, UUID(int=0))
    return view.model_dump(mode="json", exclude={"event_id", "matter_viewed_at"})


def payloads(views: pa.Table, schema: Schema) -> list[bytes]:
    """Return the views as framed Avro messages of one schema."""
    frame = SINGLE_OBJECT_MARKER + schema.fingerprint
    text = json.dumps(without_uuid(json.loads(schema.text)))
    columns = pyruhvro.avro_to_arrow_schema(text)
    (batch,) = views.select(columns.names).cast(columns).combine_chunks().to_batches()
    written = pyruhvro.serialize_record_batch(batch, text, 1)
    return [frame + body for part in written for body in part.to_pylist()]


def keys(views: pa.Table) -> list[str]:
    """Return the views' Kafka keys."""
    found: list[str] = views["event_id"].to_pylist()
    return found
