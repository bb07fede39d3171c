"""Views out of many messages at once, by a compiled decoder, as strict as the reference decoder.

``schemas.codec`` is the reference: one message at a time, by fastavro and pydantic. Here ``pyruhvro`` decodes messages
of one schema together into Arrow columns, and every row has to pass the reference's own rules, over whole columns:

1. its values' canonical encoding is as long as the message. No value can be read from fewer bytes than its canonical
   encoding has, so an equal length leaves no room for over-long integers or trailing bytes; branches and symbols that
   a schema does not define, and lengths past the end, the decoder refuses itself;
2. every value is within the limits that the event's own pydantic types state, each different value checked once;
3. the key is the event's ID.

What does not pass is a *suspect*: not refused here, but left to the reference, which alone says what a message is.
"""

import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, reduce
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro
from pydantic import TypeAdapter, ValidationError

from matterlog.consumers.reading.records import EVENT_COLUMNS, micros_of, pick
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
from matterlog.schemas.columns import EVENT_ORDER
from matterlog.schemas.events import EARLIEST

# First-touch memory is slow: slices that fit a processor's cache decode fastest.
SLICE_MESSAGES: Final = 10_240
# Fewer are decoded one by one sooner than halved further, where bad messages stand close together.
_SMALLEST_HALVED: Final = 8
# Scalars are made once, with their type: finding it out takes pyarrow as long as comparing thousands of values.
_EARLIEST_MICROS: Final = pa.scalar(micros_of(EARLIEST), pa.int64())
_LATEST_MICROS: Final = pa.scalar(micros_of(datetime.max.replace(tzinfo=UTC)), pa.int64())
_LONGEST_PAYLOAD: Final = pa.scalar(MAX_PAYLOAD_BYTES, pa.int32())
_ZERO, _ONE, _FOUR, _EIGHT = (pa.scalar(number, pa.int32()) for number in (0, 1, 4, 8))
# A zigzag varint holds seven bits a byte: from each of these magnitudes on it takes one byte more.
_FURTHER_BYTE: Final = [2 ** (7 * size - 1) for size in range(1, 10)]
_ZERO_LONG: Final = pa.scalar(0, pa.int64())
_TRUE, _FALSE = (pa.scalar(value, pa.bool_()) for value in (True, False))
_ORDINAL: Final = pa.field("ordinal", pa.int64())

# The canonical text of a UUID (RFC 9562, section 4), each hexadecimal digit as an ``h``.
_CANONICAL_UUID: Final = b"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"
_CANONICAL_UUID_PATTERN: Final = "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_NO_UUID: Final = pa.scalar("00000000-0000-0000-0000-000000000000", pa.string())
_UUID_SHAPE: Final = bytes(ord("h") if chr(byte) in "0123456789abcdef" else byte for byte in range(128)) + bytes(128)

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
        The views as EVENT_COLUMNS and, as the last column ``ordinal``, the index of each in ``payloads``; and the
        indexes of the suspects.
    """
    framed = _framed_schemas(tuple((number, schema.fingerprint) for number, schema in registered.items()))
    found = [
        _decode_slice(schema, indexes, payloads, keys)
        for start in range(0, len(payloads), SLICE_MESSAGES)
        for schema, indexes in _by_written_schema(payloads, start, framed).items()
    ]
    tables = [table for table, _ in found] or [_no_views()]
    return pa.concat_tables(tables), sorted(suspect for _, suspects in found for suspect in suspects)


def _no_views() -> pa.Table:
    return EVENT_COLUMNS.append(_ORDINAL).empty_table()


def _by_written_schema(
    payloads: list[bytes], start: int, framed: Mapping[bytes, str]
) -> dict[str | None, Sequence[int]]:
    """Group a slice's indexes by the schema, frame included, that they were written with; None for no view's."""
    indexes = range(start, min(start + SLICE_MESSAGES, len(payloads)))
    beginnings = pc.binary_slice(pa.array(pick(payloads, indexes), pa.binary()), 0, SINGLE_OBJECT_HEADER_BYTES)
    written: dict[str | None, list[bytes]] = {}
    for beginning in pc.unique(beginnings).to_pylist():
        schema = framed.get(beginning) or framed.get(beginning[:CONFLUENT_HEADER_BYTES])
        written.setdefault(schema, []).append(beginning)
    if len(written) == 1:
        return dict.fromkeys(written, indexes)
    return {
        schema: [start + index for index in pc.indices_nonzero(pc.is_in(beginnings, pa.array(those))).to_pylist()]
        for schema, those in written.items()
    }


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
        for record in [without_uuid(json.loads(schema.text))]
    }


def without_uuid(part: Any) -> Any:
    """Return a schema without the logical type at which pyruhvro panics; the text of a UUID stays text."""
    if isinstance(part, dict):
        return {name: without_uuid(value) for name, value in part.items() if (name, value) != ("logicalType", "uuid")}
    return [without_uuid(each) for each in part] if isinstance(part, list) else part


def _decode_slice(
    schema: str | None, indexes: Sequence[int], payloads: list[bytes], keys: list[bytes | None]
) -> tuple[pa.Table, Sequence[int]]:
    """Decode messages of one schema; return the views with their indexes, and the indexes of the suspects."""
    runs = [] if schema is None else list(_runs(schema, indexes, payloads))
    if schema is None or not runs:
        return _no_views(), indexes
    taken = runs[0][0] if len(runs) == 1 else [index for run, _ in runs for index in run]
    batch = pa.concat_batches([batch for _, batch in runs])
    event_ids, sound = _checked(schema, batch, pick(payloads, taken), pick(keys, taken))
    table = _as_events(batch, event_ids, _ordinals(taken))
    suspects = set(indexes).difference(taken) if len(taken) < len(indexes) else ()
    if sound.true_count == len(taken):
        return table, [*suspects]
    return table.filter(sound), [*suspects, *table["ordinal"].filter(pc.invert(sound)).to_pylist()]


def _runs(schema: str, indexes: Sequence[int], payloads: list[bytes]) -> Iterator[tuple[Sequence[int], pa.RecordBatch]]:
    """Decode messages of one schema; halve what does not decode, until a bad message costs only a few neighbours."""
    if (batch := _decoded(schema, pick(payloads, indexes))) is not None:
        yield indexes, batch
    elif len(indexes) > _SMALLEST_HALVED:
        middle = len(indexes) // 2
        yield from _runs(schema, indexes[:middle], payloads)
        yield from _runs(schema, indexes[middle:], payloads)


def _decoded(schema: str, values: list[bytes]) -> pa.RecordBatch | None:
    """Return messages' values; None where a message cannot be decoded."""
    try:
        batch = pyruhvro.deserialize_array(values, schema)
    except ValueError:
        return None
    except BaseException as error:
        # What Rust panics with is no Exception, and no class of a module that could be named.
        if type(error).__name__ == "PanicException":
            return None
        raise
    return batch if batch.num_rows == len(values) else None


def _checked(
    schema: str, batch: pa.RecordBatch, values: list[bytes], keys: list[bytes | None]
) -> tuple[pa.Array, pa.BooleanArray]:
    """Return decoded messages' event IDs, and of each row whether it passes all rules."""
    event_ids, are_canonical = _event_ids(batch["event_id"])
    sound = pc.and_(are_canonical, _is_within_limits(batch))
    sound = pc.and_(sound, _is_as_long_as(batch, pa.array(map(len, values), pa.int32()), schema))
    return event_ids, pc.and_(sound, _is_keyed(batch, keys))


def _event_ids(texts: pa.StringArray) -> tuple[pa.Array, pa.BooleanArray]:
    """Return event IDs as UUIDs, and of each whether its text is canonical; where it is not, the UUID means nothing."""
    are_canonical = pa.repeat(_TRUE, len(texts))
    written = _one_text(texts)
    if written.translate(_UUID_SHAPE) != _CANONICAL_UUID * len(texts):
        are_canonical = pc.match_substring_regex(texts, _CANONICAL_UUID_PATTERN)
        written = _one_text(pc.if_else(are_canonical, texts, _NO_UUID))
    plain = binascii.unhexlify(written.translate(None, b"-"))
    uuids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(plain)])
    return pa.ExtensionArray.from_storage(pa.uuid(), uuids), are_canonical


def _one_text(texts: pa.StringArray) -> bytes:
    """Return all texts behind one another, without copying each."""
    _, offsets, data = texts.buffers()
    ends = memoryview(offsets).cast("i")
    return bytes(memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]) if data else b""


def _is_as_long_as(batch: pa.RecordBatch, lengths: pa.Int32Array, schema: str) -> pa.BooleanArray:
    """Say of each row whether its values' canonical encoding, frame included, has the length of its message."""
    needed = reduce(pc.add, (_encoded_length(batch[name], kind) for name, kind in _fields(schema)))
    return pc.and_(pc.equal(needed, lengths), pc.less_equal(lengths, _LONGEST_PAYLOAD))


@cache
def _fields(schema: str) -> tuple[tuple[str, str], ...]:
    """Return the fields of a record that is written flat, and of each what it is made of."""
    return tuple((field["name"], _kind(field["type"])) for field in json.loads(schema)["fields"])


def _kind(written: Any) -> str:
    if isinstance(written, list):
        branches = [_kind(branch) for branch in written]
        if branches == ["null", "string"]:
            return "optional string"
        raise TypeError(f"no length is known of a union of {branches}")
    return _kind(written["type"]) if isinstance(written, dict) else str(written)


def _encoded_length(column: pa.Array, kind: str) -> pa.Array | pa.Scalar:
    """Return how many bytes each value takes in canonical Avro (specification, "Binary encoding")."""
    match kind:
        case "string":
            return _text_length(column)
        case "optional string":
            return pc.add(pc.fill_null(_text_length(column), _ZERO), _ONE)
        case "long":
            values = pc.cast(column, pa.int64())
            magnitudes = pc.if_else(pc.less(values, _ZERO_LONG), pc.bit_wise_not(values), values)
            return _varint_length(magnitudes)
        case "enum":
            return _ONE
        case "double":
            return _EIGHT
        case "float":
            return _FOUR
    raise TypeError(f"no length is known of {kind}")


def _text_length(column: pa.StringArray) -> pa.Array:
    size = pc.binary_length(column)
    return pc.add(size, _varint_length(size))


def _varint_length(magnitudes: pa.Array) -> pa.Array | pa.Scalar:
    """Compare only where the values differ: most columns are of one length throughout."""
    least, most = (bound or 0 for bound in pc.min_max(magnitudes).as_py().values())
    reached_by_all = sum(limit <= least for limit in _FURTHER_BYTE)
    reached_by_some = [pa.scalar(limit, magnitudes.type) for limit in _FURTHER_BYTE if least < limit <= most]
    further = (pc.cast(pc.greater_equal(magnitudes, limit), pa.int32()) for limit in reached_by_some)
    return reduce(pc.add, further, pa.scalar(1 + reached_by_all, pa.int32()))


def _is_within_limits(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Say of each row whether its values keep to the limits of the event's own types."""
    instants = pc.cast(batch["matter_viewed_at"], pa.int64())
    sound = pc.and_(pc.greater_equal(instants, _EARLIEST_MICROS), pc.less_equal(instants, _LATEST_MICROS))
    for name, values_type in _text_types().items():
        if name in batch.schema.names:
            # As bytes, which pydantic refuses where they are no UTF-8: pyruhvro lets that pass.
            column = pc.cast(batch[name], pa.binary())
            bad = _outside_limits(pc.unique(column).to_pylist(), values_type)
            if bad:
                sound = pc.and_(sound, pc.invert(pc.is_in(column, pa.array(bad, pa.binary()))))
    return sound


@cache
def _text_types() -> dict[str, TypeAdapter[list[Any]]]:
    """Return the types of a view's text fields, for lists of values."""
    fields = MatterViewed.model_fields
    return {
        name: TypeAdapter(list[fields[name].rebuild_annotation()])  # type: ignore[misc, arg-type]  # the model's own
        for name in (column.field for column in EVENT_ORDER if column.is_free_text)
    }


def _outside_limits(values: list[bytes | None], values_type: TypeAdapter[list[Any]]) -> list[bytes | None]:
    try:
        values_type.validate_python(values)
    except ValidationError as error:
        return [values[int(problem["loc"][0])] for problem in error.errors(include_url=False, include_input=False)]
    return []


def _is_keyed(batch: pa.RecordBatch, keys: list[bytes | None]) -> pa.BooleanArray:
    """Say of each row whether the record's key is the event's ID."""
    same = pc.equal(pa.array(keys, pa.binary()), pc.cast(batch["event_id"], pa.binary()))
    return pc.fill_null(same, _FALSE) if same.null_count else same


def _ordinals(indexes: Sequence[int]) -> pa.Int64Array:
    if isinstance(indexes, range):
        return pa.arange(indexes.start, indexes.stop)
    return pa.array(indexes, pa.int64())


def _as_events(batch: pa.RecordBatch, event_ids: pa.Array, ordinals: pa.Int64Array) -> pa.Table:
    """Return the rows as EVENT_COLUMNS, null where an older schema lacks a field, with their indexes behind."""
    nothing = pa.nulls(batch.num_rows, pa.string())
    columns = [batch[name] if name in batch.schema.names else nothing for name in EVENT_COLUMNS.names[1:]]
    return pa.Table.from_arrays([event_ids, *columns, ordinals], schema=EVENT_COLUMNS.append(_ORDINAL))
