"""A compiled decoder that decodes many views at once and is as strict as the reference decoder.

``schemas.codec`` is the reference: it decodes one message at a time with fastavro and pydantic. Here ``pyruhvro``
decodes all messages of one schema into Arrow columns. Every row must then pass the reference's rules:

1. The canonical encoding of its values is as long as the message. No value can be read from fewer bytes than its
   canonical encoding has, so equal length rules out over-long integers and trailing bytes. The decoder itself refuses
   undefined branches and symbols, and lengths past the end.
2. Every value is within the limits of the event's pydantic types. Each distinct value is checked once.
3. The key is the event's ID.

A row that fails is a *suspect*. It is not refused here: the reference decoder decides.
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

# First-touch memory is slow: slices that fit into the processor's cache decode fastest.
SLICE_MESSAGES: Final = 10_240
# Below this size, decoding one by one is faster than halving further.
_SMALLEST_HALVED: Final = 8
# Scalars are made once, with their type: inferring it takes pyarrow as long as comparing thousands of values.
_EARLIEST_MICROS: Final = pa.scalar(micros_of(EARLIEST), pa.int64())
_LATEST_MICROS: Final = pa.scalar(micros_of(datetime.max.replace(tzinfo=UTC)), pa.int64())
_LONGEST_PAYLOAD: Final = pa.scalar(MAX_PAYLOAD_BYTES, pa.int32())
_ZERO, _ONE, _FOUR, _EIGHT = (pa.scalar(number, pa.int32()) for number in (0, 1, 4, 8))
# A zigzag varint holds seven bits a byte. From each of these magnitudes on, it takes one more byte.
_VARINT_LIMITS: Final = [2 ** (7 * size - 1) for size in range(1, 10)]
_ZERO_LONG: Final = pa.scalar(0, pa.int64())
_TRUE, _FALSE = (pa.scalar(value, pa.bool_()) for value in (True, False))
_ORDINAL: Final = pa.field("ordinal", pa.int64())

# The canonical text of a UUID (RFC 9562, section 4), each hexadecimal digit as an ``h``.
_CANONICAL_UUID: Final = b"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"
_CANONICAL_UUID_PATTERN: Final = "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_NO_UUID: Final = pa.scalar("00000000-0000-0000-0000-000000000000", pa.string())
_UUID_SHAPE: Final = bytes(ord("h") if chr(byte) in "0123456789abcdef" else byte for byte in range(128)) + bytes(128)

# The frames as Avro fields, so that messages need no slicing: the marker C3 01 reads as a long and the eight bytes of
# the fingerprint as a double. Confluent's 00 reads as a long and its four bytes of ID as a float.
_SINGLE_OBJECT_FRAME: Final = [{"name": "marker", "type": "long"}, {"name": "fingerprint", "type": "double"}]
_CONFLUENT_FRAME: Final = [{"name": "marker", "type": "long"}, {"name": "registry_id", "type": "float"}]


def decode_views(
    payloads: list[bytes], keys: list[bytes | None], registered: Mapping[int, Schema]
) -> tuple[pa.Table, list[int]]:
    """Decode messages of the topic of views.

    Args:
        payloads: the messages' values.
        keys: the messages' keys.
        registered: schemas by their ID in the schema registry.

    Returns:
        The views as EVENT_COLUMNS with a last column ``ordinal``, the index of each in ``payloads``. Then the indexes
        of the suspects.
    """
    framed = _framed_schemas(tuple((number, schema.fingerprint) for number, schema in registered.items()))
    found = [
        _decode_slice(schema, indexes, payloads, keys)
        for start in range(0, len(payloads), SLICE_MESSAGES)
        for schema, indexes in _group_by_schema(payloads, start, framed).items()
    ]
    tables = [table for table, _ in found] or [_no_views()]
    return pa.concat_tables(tables), sorted(suspect for _, suspects in found for suspect in suspects)


def _no_views() -> pa.Table:
    return EVENT_COLUMNS.append(_ORDINAL).empty_table()


def _group_by_schema(payloads: list[bytes], start: int, framed: Mapping[bytes, str]) -> dict[str | None, Sequence[int]]:
    """Group a slice's indexes by the schema, frame included, that they were written with (None: no view schema)."""
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
    """Return the view schemas by their frame bytes, as JSON with the frame as their first fields."""
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
    """Return a schema without the logical type ``uuid``, on which pyruhvro panics. UUIDs stay text."""
    if isinstance(part, dict):
        return {name: without_uuid(value) for name, value in part.items() if (name, value) != ("logicalType", "uuid")}
    return [without_uuid(each) for each in part] if isinstance(part, list) else part


def _decode_slice(
    schema: str | None, indexes: Sequence[int], payloads: list[bytes], keys: list[bytes | None]
) -> tuple[pa.Table, Sequence[int]]:
    """Decode messages of one schema. Return the views with their indexes, and the indexes of the suspects."""
    runs = [] if schema is None else list(_runs(schema, indexes, payloads))
    if schema is None or not runs:
        return _no_views(), indexes
    taken = runs[0][0] if len(runs) == 1 else [index for run, _ in runs for index in run]
    batch = pa.concat_batches([batch for _, batch in runs])
    event_ids, valid = _check_rows(schema, batch, pick(payloads, taken), pick(keys, taken))
    table = _as_events(batch, event_ids, _ordinals(taken))
    suspects = set(indexes).difference(taken) if len(taken) < len(indexes) else ()
    if valid.true_count == len(taken):
        return table, [*suspects]
    return table.filter(valid), [*suspects, *table["ordinal"].filter(pc.invert(valid)).to_pylist()]


def _runs(schema: str, indexes: Sequence[int], payloads: list[bytes]) -> Iterator[tuple[Sequence[int], pa.RecordBatch]]:
    """Decode messages of one schema. Halve a run that fails, so that a bad message costs only a few neighbours."""
    if (batch := _decoded(schema, pick(payloads, indexes))) is not None:
        yield indexes, batch
    elif len(indexes) > _SMALLEST_HALVED:
        middle = len(indexes) // 2
        yield from _runs(schema, indexes[:middle], payloads)
        yield from _runs(schema, indexes[middle:], payloads)


def _decoded(schema: str, values: list[bytes]) -> pa.RecordBatch | None:
    """Return the messages' values, or None if one of them cannot be decoded."""
    try:
        batch = pyruhvro.deserialize_array(values, schema)
    except ValueError:
        return None
    except BaseException as error:
        # A Rust panic is not an Exception, and its class cannot be imported.
        if type(error).__name__ == "PanicException":
            return None
        raise
    return batch if batch.num_rows == len(values) else None


def _check_rows(
    schema: str, batch: pa.RecordBatch, values: list[bytes], keys: list[bytes | None]
) -> tuple[pa.Array, pa.BooleanArray]:
    """Return the event IDs, and whether each row passes all rules."""
    event_ids, are_canonical = _event_ids(batch["event_id"])
    valid = pc.and_(are_canonical, _is_within_limits(batch))
    valid = pc.and_(valid, _has_canonical_length(batch, pa.array(map(len, values), pa.int32()), schema))
    return event_ids, pc.and_(valid, _has_event_key(batch, keys))


def _event_ids(texts: pa.StringArray) -> tuple[pa.Array, pa.BooleanArray]:
    """Return event IDs as UUIDs, and whether each text is canonical. Where it is not, the UUID is meaningless."""
    are_canonical = pa.repeat(_TRUE, len(texts))
    written = _one_text(texts)
    if written.translate(_UUID_SHAPE) != _CANONICAL_UUID * len(texts):
        are_canonical = pc.match_substring_regex(texts, _CANONICAL_UUID_PATTERN)
        written = _one_text(pc.if_else(are_canonical, texts, _NO_UUID))
    plain = binascii.unhexlify(written.translate(None, b"-"))
    uuids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(plain)])
    return pa.ExtensionArray.from_storage(pa.uuid(), uuids), are_canonical


def _one_text(texts: pa.StringArray) -> bytes:
    """Return all texts concatenated, without copying each."""
    _, offsets, data = texts.buffers()
    ends = memoryview(offsets).cast("i")
    return bytes(memoryview(data)[ends[texts.offset] : ends[texts.offset + len(texts)]]) if data else b""


def _has_canonical_length(batch: pa.RecordBatch, lengths: pa.Int32Array, schema: str) -> pa.BooleanArray:
    """Return for each row whether the canonical encoding of its values, frame included, is as long as its message."""
    needed = reduce(pc.add, (_encoded_length(batch[name], kind) for name, kind in _fields(schema)))
    return pc.and_(pc.equal(needed, lengths), pc.less_equal(lengths, _LONGEST_PAYLOAD))


@cache
def _fields(schema: str) -> tuple[tuple[str, str], ...]:
    return tuple((field["name"], _kind(field["type"])) for field in json.loads(schema)["fields"])


def _kind(written: Any) -> str:
    if isinstance(written, list):
        branches = [_kind(branch) for branch in written]
        if branches == ["null", "string"]:
            return "optional string"
        raise TypeError(f"the encoded length of a union of {branches} is not known")
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
    raise TypeError(f"the encoded length of {kind} is not known")


def _text_length(column: pa.StringArray) -> pa.Array:
    size = pc.binary_length(column)
    return pc.add(size, _varint_length(size))


def _varint_length(magnitudes: pa.Array) -> pa.Array | pa.Scalar:
    """Return the length of each varint. Compares only where lengths differ: in most columns all are equal."""
    least, most = (bound or 0 for bound in pc.min_max(magnitudes).as_py().values())
    reached_by_all = sum(limit <= least for limit in _VARINT_LIMITS)
    reached_by_some = [pa.scalar(limit, magnitudes.type) for limit in _VARINT_LIMITS if least < limit <= most]
    further = (pc.cast(pc.greater_equal(magnitudes, limit), pa.int32()) for limit in reached_by_some)
    return reduce(pc.add, further, pa.scalar(1 + reached_by_all, pa.int32()))


def _is_within_limits(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Return for each row whether its values are within the limits of the event's types."""
    instants = pc.cast(batch["matter_viewed_at"], pa.int64())
    valid = pc.and_(pc.greater_equal(instants, _EARLIEST_MICROS), pc.less_equal(instants, _LATEST_MICROS))
    for name, list_type in _text_types().items():
        if name in batch.schema.names:
            # As bytes: pydantic refuses bytes that are not UTF-8, pyruhvro does not.
            column = pc.cast(batch[name], pa.binary())
            bad = _outside_limits(pc.unique(column).to_pylist(), list_type)
            if bad:
                valid = pc.and_(valid, pc.invert(pc.is_in(column, pa.array(bad, pa.binary()))))
    return valid


@cache
def _text_types() -> dict[str, TypeAdapter[list[Any]]]:
    fields = MatterViewed.model_fields
    return {
        name: TypeAdapter(list[fields[name].rebuild_annotation()])  # type: ignore[misc, arg-type]  # the model's own
        for name in (column.field for column in EVENT_ORDER if column.is_free_text)
    }


def _outside_limits(values: list[bytes | None], list_type: TypeAdapter[list[Any]]) -> list[bytes | None]:
    try:
        list_type.validate_python(values)
    except ValidationError as error:
        return [values[int(problem["loc"][0])] for problem in error.errors(include_url=False, include_input=False)]
    return []


def _has_event_key(batch: pa.RecordBatch, keys: list[bytes | None]) -> pa.BooleanArray:
    same = pc.equal(pa.array(keys, pa.binary()), pc.cast(batch["event_id"], pa.binary()))
    return pc.fill_null(same, _FALSE) if same.null_count else same


def _ordinals(indexes: Sequence[int]) -> pa.Int64Array:
    if isinstance(indexes, range):
        return pa.arange(indexes.start, indexes.stop)
    return pa.array(indexes, pa.int64())


def _as_events(batch: pa.RecordBatch, event_ids: pa.Array, ordinals: pa.Int64Array) -> pa.Table:
    """Return the rows as EVENT_COLUMNS and their indexes. Fields that an older schema lacks are null."""
    nothing = pa.nulls(batch.num_rows, pa.string())
    columns = [batch[name] if name in batch.schema.names else nothing for name in EVENT_COLUMNS.names[1:]]
    return pa.Table.from_arrays([event_ids, *columns, ordinals], schema=EVENT_COLUMNS.append(_ORDINAL))
