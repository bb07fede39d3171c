"""Views out of many messages at once, by a compiled decoder, as strict as the reference decoder.

``schemas.codec`` is the reference: one message at a time, by fastavro and pydantic. Here ``pyruhvro`` decodes messages
of one schema together into Arrow columns, and every row has to pass the reference's own rules, over whole columns:

1. writing the decoded values again gives the same bytes, frame included;
2. every value is within the limits that the event's own pydantic types state, each different value checked once;
3. the key is the event's ID.

What does not pass is a *suspect*: not refused here, but left to the reference, which alone says what a message is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro
from pydantic import TypeAdapter, ValidationError

from matterlog.schemas import MatterViewed
from matterlog.schemas.codec import (
    CONFLUENT_HEADER_BYTES,
    CONFLUENT_MARKER,
    MAX_PAYLOAD_BYTES,
    SINGLE_OBJECT_HEADER_BYTES,
    SINGLE_OBJECT_MARKER,
    Schema,
    schemas,
)
from matterlog.schemas.events import EARLIEST

from .records import EVENT_COLUMNS, micros_of, pick

# First-touch memory is slow: slices that fit a processor's cache decode fastest.
SLICE_MESSAGES: Final = 10_000
# Below this a slice that does not decode is left to the reference as a whole.
_SMALLEST_BISECTED: Final = 32
_CANONICAL_UUID: Final = "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_EARLIEST_MICROS: Final = micros_of(EARLIEST)
_LATEST_MICROS: Final = micros_of(datetime.max.replace(tzinfo=UTC))

# The frames as Avro fields, so that a message needs no cutting: the marker C3 01 reads as a long, the eight bytes of
# the fingerprint as a double; Confluent's 00 as a long, its four bytes of ID as a float.
_SINGLE_OBJECT_FRAME: Final = [{"name": "marker", "type": "long"}, {"name": "fingerprint", "type": "double"}]
_CONFLUENT_FRAME: Final = [{"name": "marker", "type": "long"}, {"name": "registry_id", "type": "float"}]


def decode_views(
    payloads: list[bytes], keys: list[bytes | None], registered: Mapping[int, Schema]
) -> tuple[pa.Table, list[int]]:
    """Decode the messages of the topic of views.

    Args:
        payloads: the messages' values.
        keys: the messages' keys.
        registered: the schemas known by a registry's IDs.

    Returns:
        The views as EVENT_COLUMNS and, as the last column ``ordinal``, the place of each in ``payloads``; and the
        places of the suspects.
    """
    found = [
        decoded
        for schema, places in _by_written_schema(payloads, registered).items()
        for start in range(0, len(places), SLICE_MESSAGES)
        for decoded in _decode_slice(schema, places[start : start + SLICE_MESSAGES], payloads, keys)
    ]
    tables = [table for table, _ in found] or [_no_views()]
    return pa.concat_tables(tables), sorted(suspect for _, suspects in found for suspect in suspects)


def _no_views() -> pa.Table:
    return EVENT_COLUMNS.append(_ORDINAL).empty_table()


_ORDINAL: Final = pa.field("ordinal", pa.int64())


def _by_written_schema(payloads: Sequence[bytes], registered: Mapping[int, Schema]) -> dict[str | None, Sequence[int]]:
    """Group the messages' places by the schema, frame included, that they were written with; None for no view's."""
    framed = _framed_schemas(tuple((number, schema.fingerprint) for number, schema in registered.items()))
    single, confluent = SINGLE_OBJECT_HEADER_BYTES, CONFLUENT_HEADER_BYTES
    written = [framed.get(payload[:single]) or framed.get(payload[:confluent]) for payload in payloads]
    if len(set(written)) == 1:
        return {written[0]: range(len(payloads))}
    groups: dict[str | None, list[int]] = {}
    for place, schema in enumerate(written):
        groups.setdefault(schema, []).append(place)
    return {**groups}


@cache
def _framed_schemas(registered: tuple[tuple[int, bytes], ...]) -> dict[bytes, str]:
    """Return the schemas of views by the bytes that frame them, as JSON with the frame as their first fields."""
    frames = {SINGLE_OBJECT_MARKER + mark: (schema, _SINGLE_OBJECT_FRAME) for mark, schema in schemas().items()}
    frames |= {
        CONFLUENT_MARKER + number.to_bytes(4): (schemas()[mark], _CONFLUENT_FRAME) for number, mark in registered
    }
    return {
        frame: json.dumps({**record, "fields": [*fields, *record["fields"]]})
        for frame, (schema, fields) in frames.items()
        if schema.event is MatterViewed
        for record in [_without_uuid(json.loads(schema.text))]
    }


def _without_uuid(part: Any) -> Any:
    """Return a schema without the logical type at which pyruhvro panics; the text of a UUID stays text."""
    if isinstance(part, dict):
        return {name: _without_uuid(value) for name, value in part.items() if (name, value) != ("logicalType", "uuid")}
    return [_without_uuid(each) for each in part] if isinstance(part, list) else part


def _decode_slice(
    schema: str | None, places: Sequence[int], payloads: list[bytes], keys: list[bytes | None]
) -> Iterator[tuple[pa.Table, Sequence[int]]]:
    """Decode messages of one schema; halve what does not decode, until a bad message costs only its neighbours."""
    values = pick(payloads, places)
    batch = None if schema is None else _deserialize(values, schema)
    if schema is None or (batch is None and len(places) <= _SMALLEST_BISECTED):
        yield _no_views(), places
    elif batch is None:
        middle = len(places) // 2
        yield from _decode_slice(schema, places[:middle], payloads, keys)
        yield from _decode_slice(schema, places[middle:], payloads, keys)
    else:
        sound = pc.and_(_is_rewritten(batch, values, schema), _is_within_limits(batch))
        sound = pc.and_(sound, _is_keyed(batch, pick(keys, places)))
        table, suspects = _as_events(batch, places), []
        if not pc.all(sound).as_py():
            suspects = pa.array(places, pa.int64()).filter(pc.invert(sound)).to_pylist()
            table = table.filter(sound)
        yield table, suspects


def _deserialize(values: list[bytes], schema: str) -> pa.RecordBatch | None:
    """Decode messages of one schema; None where one of them cannot be decoded."""
    try:
        batch = pyruhvro.deserialize_array(values, schema)
        batch.validate(full=True)  # pyruhvro lets text pass that is no UTF-8
    except ValueError:
        return None
    except BaseException as error:
        # What Rust panics with is no Exception, and no class of a module that could be named.
        if type(error).__name__ == "PanicException":
            return None
        raise
    return batch


def _is_rewritten(batch: pa.RecordBatch, values: list[bytes], schema: str) -> pa.BooleanArray:
    """Say of each row whether its values, written again, are the message's bytes."""
    short = pc.less_equal(pc.binary_length(written := pa.array(values, pa.binary())), MAX_PAYLOAD_BYTES)
    (rewritten,) = pyruhvro.serialize_record_batch(batch, schema, 1)
    return pc.and_(short, pc.equal(written, rewritten))


def _is_within_limits(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Say of each row whether its values keep to the limits of the event's own types."""
    sound = pc.match_substring_regex(batch["event_id"], _CANONICAL_UUID)
    instants = pc.cast(batch["matter_viewed_at"], pa.int64())
    in_calendar = pc.and_(pc.greater_equal(instants, _EARLIEST_MICROS), pc.less_equal(instants, _LATEST_MICROS))
    sound = pc.and_(sound, in_calendar)
    for name, values_type in _text_types().items():
        if name in batch.schema.names:
            column = batch[name]
            bad = _outside_limits(pc.unique(column).to_pylist(), values_type)
            if bad:
                sound = pc.and_(sound, pc.invert(pc.is_in(column, pa.array(bad, pa.string()))))
    return sound


@cache
def _text_types() -> dict[str, TypeAdapter[list[Any]]]:
    """Return the types of a view's text fields, for lists of values."""
    fields = MatterViewed.model_fields
    checked_apart = {"event_id", "matter_viewed_at", "user_type", "matter_type"}
    return {
        name: TypeAdapter(list[field.rebuild_annotation()])  # type: ignore[misc, arg-type]  # the model's own
        for name, field in fields.items()
        if name not in checked_apart
    }


def _outside_limits(values: list[str | None], values_type: TypeAdapter[list[Any]]) -> list[str | None]:
    try:
        values_type.validate_python(values)
    except ValidationError as error:
        return [values[int(problem["loc"][0])] for problem in error.errors(include_url=False, include_input=False)]
    return []


def _is_keyed(batch: pa.RecordBatch, keys: list[bytes | None]) -> pa.BooleanArray:
    """Say of each row whether the record's key is the event's ID."""
    return pc.fill_null(
        pc.equal(pa.array(keys, pa.binary()), pc.cast(batch["event_id"], pa.binary())), fill_value=False
    )


def _as_events(batch: pa.RecordBatch, places: Sequence[int]) -> pa.Table:
    """Return the rows as EVENT_COLUMNS, null where an older schema lacks a field, with their places behind."""
    nothing = pa.nulls(batch.num_rows, pa.string())
    columns = [batch[field.name] if field.name in batch.schema.names else nothing for field in EVENT_COLUMNS]
    columns.append(pa.array(places, pa.int64()))
    return pa.Table.from_arrays(columns, schema=EVENT_COLUMNS.append(_ORDINAL))
