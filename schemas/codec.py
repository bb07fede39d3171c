"""The codec for events: a frame that names the schema, followed by the event as Avro.

1. It reads two frames: Avro single-object encoding (``C3 01``, the schema's CRC-64-AVRO fingerprint in
   little-endian order, body; Avro specification, "Single-object encoding") and the Confluent wire format (``00``,
   a registry's schema ID as 4 big-endian bytes, body).
2. It reads only the schemas in ``avro/``, chosen by fingerprint. A message cannot bring its own schema.
3. It accepts a body only if encoding the decoded values gives the same bytes. This refuses what a lenient Avro reader
   accepts: trailing bytes, negative branch indexes, over-long integers, lengths past the end.
4. ``plain_views`` writes plain views, with the same bytes as fastavro. fastavro writes all others.
5. It is pure (no clock, no I/O) and raises only EncodeError and DecodeError.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from matterlog.schemas.columns import NEWEST_VERSION, OPTIONAL_FIELDS, REQUIRED_FIELDS
from matterlog.schemas.errors import DecodeError, DecodeErrorKind, EncodeError, InvalidEvent
from matterlog.schemas.event_ids import text_of
from matterlog.schemas.events import Event, MatterDeleted, MatterViewed
from matterlog.schemas.plain_views import plain_body

SINGLE_OBJECT_MARKER: Final = b"\xc3\x01"
SINGLE_OBJECT_HEADER_BYTES: Final = 10
CONFLUENT_MARKER: Final = b"\x00"
CONFLUENT_HEADER_BYTES: Final = 5
# An integer's last byte is below this. If the message ends before it, fastavro raises a bare IndexError.
UNFINISHED_INTEGER: Final = 0x80
MAX_REGISTRY_ID: Final = 2**32 - 1
# The longest valid view is under 40 KiB. A longer payload than this is refused before it is decoded.
MAX_PAYLOAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Schema:
    """An Avro schema: its event, version, text (a file of ``avro/``), fingerprint and parsed form."""

    event: type[Event]
    version: int
    text: str
    fingerprint: bytes
    parsed: Any


def _load(event: type[Event], stem: str, version: int) -> Schema:
    text = files(__package__).joinpath("avro", f"{stem}.v{version}.avsc").read_text(encoding="utf-8")
    parsed = fastavro.parse_schema(json.loads(text))
    return Schema(event, version, text, fingerprint_of(text), parsed)


def fingerprint_of(schema_text: str) -> bytes:
    """Return the CRC-64-AVRO fingerprint of a schema's parsing canonical form: 8 bytes, little-endian."""
    canonical = to_parsing_canonical_form(json.loads(schema_text))
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


@cache
def schemas() -> Mapping[bytes, Schema]:
    """Return every known schema by fingerprint, ordered by event and version, the newest version last."""
    known = (
        *(_load(MatterViewed, "matter-viewed", version) for version in range(1, NEWEST_VERSION + 1)),
        _load(MatterDeleted, "matter-deleted", 1),
    )
    return MappingProxyType({schema.fingerprint: schema for schema in known})


@cache
def newest_schema(event: type[Event]) -> Schema:
    """Return the newest schema of an event, which new messages use."""
    return [schema for schema in schemas().values() if schema.event is event][-1]


def encode(event: Event, registry_id: int | None = None) -> bytes:
    """Encode an event with its newest schema.

    Args:
        registry_id: the schema's ID in a schema registry. With it, the frame is Confluent's.

    Raises:
        EncodeError: the event bypassed its validation and does not fit the schema.
    """
    schema = newest_schema(type(event))
    header = frame(schema, registry_id)
    try:
        return header + (_write_plain(event) or _write(schema, event.__dict__))
    except Exception as error:
        raise EncodeError(f"{event.event_type} does not fit its schema ({type(error).__name__})") from error


def frame(schema: Schema, registry_id: int | None = None) -> bytes:
    """Return the frame in front of an event's Avro body: Confluent's if ``registry_id`` is given.

    Raises:
        EncodeError: the registry's ID does not fit into 4 bytes.
    """
    if registry_id is None:
        return SINGLE_OBJECT_MARKER + schema.fingerprint
    if not 0 <= registry_id <= MAX_REGISTRY_ID:
        raise EncodeError(f"the registry's schema ID {registry_id} does not fit into 4 bytes")
    return CONFLUENT_MARKER + registry_id.to_bytes(4)


def decode(payload: bytes, registered: Mapping[int, Schema] = MappingProxyType({})) -> Event:
    """Decode a framed event.

    Args:
        payload: the message's value.
        registered: the schemas by their IDs in a schema registry.

    Raises:
        DecodeError: the bytes are not a valid event.
    """
    schema, body = unframe(payload, registered)
    values = _read(schema, body)
    try:
        return schema.event.checked(values)
    except InvalidEvent as error:
        raise DecodeError(DecodeErrorKind.OUT_OF_LIMITS, str(error)) from None


def unframe(payload: bytes, registered: Mapping[int, Schema] = MappingProxyType({})) -> tuple[Schema, bytes]:
    """Return the schema that a message names, and its Avro body without the frame.

    Raises:
        DecodeError: the message is too long, or its frame or schema is unknown.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError(DecodeErrorKind.OVERSIZE, f"{len(payload)} bytes, the limit is {MAX_PAYLOAD_BYTES}")
    if payload.startswith(SINGLE_OBJECT_MARKER):
        return _by_fingerprint(payload), payload[SINGLE_OBJECT_HEADER_BYTES:]
    if (registry_id := registry_id_of(payload)) is not None:
        if (schema := registered.get(registry_id)) is None:
            raise DecodeError(DecodeErrorKind.UNKNOWN_SCHEMA, f"schema ID {registry_id} is not one of matterlog's")
        return schema, payload[CONFLUENT_HEADER_BYTES:]
    raise DecodeError(DecodeErrorKind.UNKNOWN_FRAMING, "neither Avro single-object encoding nor Confluent's format")


def registry_id_of(payload: bytes) -> int | None:
    """Return the schema ID of a message in the Confluent wire format, or None for any other message."""
    if payload.startswith(CONFLUENT_MARKER) and len(payload) >= CONFLUENT_HEADER_BYTES:
        return int.from_bytes(payload[1:CONFLUENT_HEADER_BYTES])
    return None


def _by_fingerprint(payload: bytes) -> Schema:
    digest = payload[len(SINGLE_OBJECT_MARKER) : SINGLE_OBJECT_HEADER_BYTES]
    if len(digest) < SINGLE_OBJECT_HEADER_BYTES - len(SINGLE_OBJECT_MARKER):
        raise DecodeError(DecodeErrorKind.TRUNCATED, "the message ends inside its frame")
    if (schema := schemas().get(digest)) is None:
        raise DecodeError(DecodeErrorKind.UNKNOWN_SCHEMA, f"no schema has the fingerprint {digest.hex()}")
    return schema


def _read(schema: Schema, body: bytes) -> dict[str, Any]:
    source = io.BytesIO(body)
    try:
        values: dict[str, Any] = fastavro.schemaless_reader(source, schema.parsed, None)  # type: ignore[assignment]
        rewritten = _write(schema, values)
    except EOFError:
        raise DecodeError(DecodeErrorKind.TRUNCATED, "the message ends inside a field") from None
    except Exception as error:  # noqa: BLE001 - fastavro raises six unrelated classes on broken bytes
        if isinstance(error, IndexError) and source.tell() == len(body) and body[-1] >= UNFINISHED_INTEGER:
            raise DecodeError(DecodeErrorKind.TRUNCATED, "the message ends inside an integer") from None
        raise DecodeError(DecodeErrorKind.MALFORMED, f"not Avro of {_title(schema)} ({type(error).__name__})") from None
    if rewritten == body:
        return values
    if body.startswith(rewritten):
        surplus = len(body) - len(rewritten)
        raise DecodeError(DecodeErrorKind.TRAILING_BYTES, f"{surplus} extra bytes after the event")
    raise DecodeError(DecodeErrorKind.MALFORMED, f"not canonical Avro of {_title(schema)}")


def _write(schema: Schema, values: Mapping[str, Any]) -> bytes:
    target = io.BytesIO()
    fastavro.schemaless_writer(target, schema.parsed, values)
    return target.getvalue()


def _write_plain(event: Event) -> bytes | None:
    values = event.__dict__
    if not isinstance(event, MatterViewed) or type(values.get("event_id")) is not UUID:
        return None
    optional = tuple(map(values.get, OPTIONAL_FIELDS))
    return plain_body(text_of(event.event_id), *map(values.get, REQUIRED_FIELDS), optional=optional)


def _title(schema: Schema) -> str:
    return f"{schema.event.event_type} version {schema.version}"
