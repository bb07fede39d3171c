"""Event <-> bytes: the exact bytes, the round trip, and what hostile bytes may do (be refused, nothing else).

The golden bytes and the fingerprints were written by Apache Avro for Java 1.12.1 (``BinaryMessageEncoder`` and
``SchemaNormalization``) from the same ``.avsc`` files, and its ``BinaryMessageDecoder`` reads what is written here.
"""

import io
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from uuid import UUID

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matterlog.schemas import DecodeError, DecodeErrorKind, EncodeError, decode, encode
from matterlog.schemas.codec import MAX_PAYLOAD_BYTES, fingerprint_of, newest_schema, registry_id_of, schemas, unframe
from matterlog.schemas.events import Event, MatterDeleted, MatterType, MatterViewed, UserType

BARE_VIEW: Final = MatterViewed(
    event_id=UUID("0198c0de-1234-7abc-8def-0123456789ab"),
    user_id="u-1001",
    user_name='Zoë "Zed" O’Hara',  # noqa: RUF001 - names hold such quotes
    user_email='"john smith"@example.com',
    user_type=UserType.MEMBER,
    matter_viewed_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    matter_id="m-42",
    matter_name="Projekt Å\n第二 🚢",
    matter_type=MatterType.LIVE,
)
OFFICE: Final = {
    "user_company_id": "c-7",
    "user_company_name": "Hale & Co",
    "user_member_office_id": "o-3",
    "user_member_office_name": "City",
    "user_member_office_location_name": "London",
    "user_member_office_location_iso2": "GB",
}
FULL_VIEW: Final = MatterViewed(**{name: getattr(BARE_VIEW, name) for name in MatterViewed.model_fields} | OFFICE)
DELETION: Final = MatterDeleted(
    event_id=UUID("0198c0de-5678-7abc-8def-0123456789ab"),
    matter_id="m-42",
    deleted_at=datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC),
)

# As ``long`` in Java; the frame holds them with the lowest byte first.
VIEWED_V1_FINGERPRINT: Final = 0x9F67086FA5B769F9
VIEWED_V2_FINGERPRINT: Final = 0xB9A80BDB319C959A
DELETED_V1_FINGERPRINT: Final = 0x21B8B45AF682213C

EVENT_ID: Final = bytes.fromhex("48 30313938633064652d313233342d376162632d386465662d303132333435363738396162")
NINE_FIELDS: Final = EVENT_ID + bytes.fromhex(
    "0c 752d31303031"  # user_id
    "26 5a6fc3ab20225a656422204fe2809948617261"  # user_name
    "30 226a6f686e20736d69746822406578616d706c652e636f6d"  # user_email
    "02"  # user_type: the second symbol
    "eabcbae5ded7a306"  # matter_viewed_at
    "08 6d2d3432"  # matter_id
    "2c 50726f6a656b7420c3850ae7acace4ba8c20f09f9aa2"  # matter_name
    "02"  # matter_type: the second symbol
)
SIX_NULLS: Final = bytes.fromhex("00 00 00 00 00 00")
SIX_OPTIONAL_FIELDS: Final = bytes.fromhex(
    "02 06 632d37  02 12 48616c65202620436f  02 06 6f2d33  02 08 43697479  02 0c 4c6f6e646f6e  02 04 4742"
)
DELETION_BODY: Final = bytes.fromhex(
    "48 30313938633064652d353637382d376162632d386465662d303132333435363738396162"  # event_id
    "08 6d2d3432"  # matter_id
    "8e82fbb6f1f8a406"  # deleted_at
)
V1_HEADER: Final = bytes.fromhex("c301f969b7a56f08679f")
V2_HEADER: Final = bytes.fromhex("c3019a959c31db0ba8b9")
DELETED_HEADER: Final = bytes.fromhex("c3013c2182f65ab4b821")

GOLDEN: Final = {
    "view, version 2, bare": (BARE_VIEW, V2_HEADER, NINE_FIELDS + SIX_NULLS),
    "view, version 2, full": (FULL_VIEW, V2_HEADER, NINE_FIELDS + SIX_OPTIONAL_FIELDS),
    "deletion": (DELETION, DELETED_HEADER, DELETION_BODY),
}
OLD_VIEW: Final = V1_HEADER + NINE_FIELDS
BARE: Final = V2_HEADER + NINE_FIELDS + SIX_NULLS
FULL: Final = V2_HEADER + NINE_FIELDS + SIX_OPTIONAL_FIELDS
SINGLE_OBJECTS: Final = (OLD_VIEW, BARE, FULL, DELETED_HEADER + DELETION_BODY)

V1: Final = schemas()[V1_HEADER[2:]]
# What a registry might have given: one ID a schema.
REGISTERED: Final = {1: V1, 70_000: newest_schema(MatterViewed), 0xFFFFFFFF: newest_schema(MatterDeleted)}
REGISTRY_IDS: Final = {MatterViewed: 70_000, MatterDeleted: 0xFFFFFFFF}
CONFLUENT: Final = (
    bytes.fromhex("0000000001") + NINE_FIELDS,
    bytes.fromhex("0000011170") + NINE_FIELDS + SIX_NULLS,
    bytes.fromhex("0000011170") + NINE_FIELDS + SIX_OPTIONAL_FIELDS,
    bytes.fromhex("00ffffffff") + DELETION_BODY,
)
MESSAGES: Final = (*SINGLE_OBJECTS, *CONFLUENT)
EVENTS: Final = ("old view", "bare view", "full view", "deletion")
each_message: Final = pytest.mark.parametrize(
    "message", MESSAGES, ids=[f"{frame} {event}" for frame in ("single-object", "confluent") for event in EVENTS]
)

MUTATIONS_A_MESSAGE: Final = 2_000


# Every legal event

TEXT: Final = st.characters(exclude_categories=["Cc", "Cs"])
IDENTIFIERS: Final = st.text(TEXT, min_size=1, max_size=128).filter(lambda text: text == text.strip())
NAMES: Final = st.text(TEXT | st.sampled_from("\t\n\r"), max_size=1_000)
ATOMS: Final = st.lists(st.text("azAZ09!#'*+-/=?^_`{|}~$%&éß第🚢", min_size=1, max_size=20), min_size=1, max_size=3)
LABELS: Final = st.lists(st.text("azAZ09éß第", min_size=1, max_size=20), min_size=2, max_size=3)
EMAILS: Final = st.emails() | st.builds(lambda atoms, labels: f"{'.'.join(atoms)}@{'.'.join(labels)}", ATOMS, LABELS)
ZONES: Final = st.integers(-1_439, 1_439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS: Final = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001 - hypothesis adds the zone
VIEWS: Final = st.builds(
    MatterViewed,
    event_id=st.uuids(),
    user_id=IDENTIFIERS,
    user_name=NAMES,
    user_email=EMAILS,
    user_type=st.sampled_from(UserType),
    matter_viewed_at=INSTANTS,
    matter_id=IDENTIFIERS,
    matter_name=NAMES,
    matter_type=st.sampled_from(MatterType),
    user_company_id=st.none() | IDENTIFIERS,
    user_company_name=st.none() | NAMES,
    user_member_office_id=st.none() | IDENTIFIERS,
    user_member_office_name=st.none() | NAMES,
    user_member_office_location_name=st.none() | NAMES,
    user_member_office_location_iso2=st.none() | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2),
)
DELETIONS: Final = st.builds(MatterDeleted, event_id=st.uuids(), matter_id=IDENTIFIERS, deleted_at=INSTANTS)


@settings(max_examples=300)
@given(VIEWS | DELETIONS)
def test_every_legal_event_survives_both_frames(event: Event) -> None:
    assert decode(encode(event)) == event
    registry_id = REGISTRY_IDS[type(event)]
    assert decode(encode(event, registry_id), REGISTERED) == event


@settings(max_examples=100)
@given(VIEWS)
def test_a_decoded_event_is_the_same_in_every_field_and_type(event: MatterViewed) -> None:
    again = decode(encode(event))
    assert again.model_dump_json() == event.model_dump_json()
    assert {name: type(value) for name, value in again} == {name: type(value) for name, value in event}


def test_the_longest_legal_event_is_read() -> None:
    name, identifier = "🚢" * 1_000, "🚢" * 128
    email = f"{'🚢' * 200}@{'第' * 111}.example"
    longest = FULL_VIEW.model_dump() | {
        field: identifier if field.endswith("_id") else name
        for field in MatterViewed.model_fields
        if field.endswith(("_id", "_name")) and field != "event_id"
    }
    event = MatterViewed.checked(longest | {"user_email": email})
    assert decode(encode(event)) == event
    assert 20_000 < len(encode(event)) < 40 * 1_024 < MAX_PAYLOAD_BYTES


# The exact bytes


@pytest.mark.parametrize(
    ("message", "fingerprint"),
    [(OLD_VIEW, VIEWED_V1_FINGERPRINT), (BARE, VIEWED_V2_FINGERPRINT), (SINGLE_OBJECTS[3], DELETED_V1_FINGERPRINT)],
)
def test_the_frame_holds_the_fingerprint_lowest_byte_first(message: bytes, fingerprint: int) -> None:
    schema, _ = unframe(message)
    assert message[2:10] == schema.fingerprint == fingerprint.to_bytes(8, "little")
    assert fingerprint_of(schema.text) == schema.fingerprint


def test_exactly_three_schemas_are_read() -> None:
    assert set(schemas()) == {V1_HEADER[2:], V2_HEADER[2:], DELETED_HEADER[2:]}
    assert [(schema.event, schema.version) for schema in schemas().values()] == [
        (MatterViewed, 1),
        (MatterViewed, 2),
        (MatterDeleted, 1),
    ]


@pytest.mark.parametrize(("event", "header", "body"), GOLDEN.values(), ids=GOLDEN)
def test_an_event_is_written_as_avro_single_object(event: Event, header: bytes, body: bytes) -> None:
    assert encode(event) == header + body
    assert decode(header + body) == event


@pytest.mark.parametrize(("event", "body"), [(event, body) for event, _, body in GOLDEN.values()], ids=GOLDEN)
def test_an_event_is_written_in_the_confluent_format_when_a_registry_id_is_given(event: Event, body: bytes) -> None:
    assert encode(event, 0x01020304) == b"\x00\x01\x02\x03\x04" + body
    assert decode(b"\x00\x01\x02\x03\x04" + body, {0x01020304: newest_schema(type(event))}) == event


def test_a_view_of_version_1_is_read_with_nothing_for_what_it_does_not_know() -> None:
    assert V1_HEADER + written(V1.parsed, BARE_VIEW) == OLD_VIEW
    assert decode(OLD_VIEW) == BARE_VIEW
    assert decode(CONFLUENT[0], REGISTERED) == BARE_VIEW


def test_a_registry_id_is_read_from_the_confluent_format_alone() -> None:
    assert [registry_id_of(message) for message in CONFLUENT] == [1, 70_000, 70_000, 0xFFFFFFFF]
    assert {registry_id_of(message) for message in (*SINGLE_OBJECTS, b"", b"\x00", b"\x00\x01\x02\x03")} == {None}


# What cannot be written


@pytest.mark.parametrize(
    "event",
    [
        MatterDeleted.model_construct(),
        MatterDeleted.model_construct(matter_id=None, deleted_at=DELETION.deleted_at),
        MatterDeleted.model_construct(matter_id="hush", deleted_at="hush"),
        MatterViewed.model_construct(**FULL_VIEW.model_dump() | {"user_type": "hush"}),
        MatterViewed.model_construct(**FULL_VIEW.model_dump() | {"user_name": "hush\ud800"}),
        MatterViewed.model_construct(**FULL_VIEW.model_dump() | {"user_company_id": 7}),
    ],
)
def test_an_event_made_around_its_checks_is_not_written_and_not_quoted(event: Event) -> None:
    with pytest.raises(EncodeError, match=f"^{event.event_type} does not fit its schema") as caught:
        encode(event)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("registry_id", [-1, 2**32])
def test_a_registry_id_that_is_no_4_byte_number_is_an_encode_error(registry_id: int) -> None:
    with pytest.raises(EncodeError):
        encode(DELETION, registry_id)


# Hostile bytes


def written(parsed_schema: Any, event: Event) -> bytes:
    fields = [field["name"] for field in parsed_schema["fields"]]
    target = io.BytesIO()
    fastavro.schemaless_writer(target, parsed_schema, {name: getattr(event, name) for name in fields})
    return target.getvalue()


def refusal(message: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(message, REGISTERED)
    return caught.value


def assert_refused_or_exact(message: bytes) -> bool:
    """Decode; return whether it was refused. What is accepted must be these very bytes under the named schema."""
    try:
        event = decode(message, REGISTERED)
    except DecodeError:
        return True
    schema, body = unframe(message, REGISTERED)
    assert isinstance(event, schema.event)
    assert written(schema.parsed, event) == body
    return False


def bare_with(old: str, new: str) -> bytes:
    """The bare view with one run of bytes, which must stand in it once, replaced."""
    assert BARE.count(bytes.fromhex(old)) == 1
    return BARE.replace(bytes.fromhex(old), bytes.fromhex(new))


WITHOUT_HYPHENS: Final = b"\x40" + EVENT_ID[1:].replace(b"-", b"")
USER_ID: Final = "0c752d31303031"
VIEWED_AT: Final = "eabcbae5ded7a306"
REFUSED: Final = {
    "65,537 bytes": (BARE.ljust(65_537, b"\x00"), DecodeErrorKind.OVERSIZE),
    "70,000 bytes of nothing": (bytes(70_000), DecodeErrorKind.OVERSIZE),
    "nothing": (b"", DecodeErrorKind.UNKNOWN_FRAMING),
    "JSON": (b'{"user_id": "u-1001"}', DecodeErrorKind.UNKNOWN_FRAMING),
    "an Avro container file": (b"Obj\x01" + BARE, DecodeErrorKind.UNKNOWN_FRAMING),
    "half a marker": (b"\xc3", DecodeErrorKind.UNKNOWN_FRAMING),
    "the next version of the frame": (b"\xc3\x02" + BARE[2:], DecodeErrorKind.UNKNOWN_FRAMING),
    "half a registry ID": (b"\x00\x00\x00\x01", DecodeErrorKind.UNKNOWN_FRAMING),
    "a body without a frame": (NINE_FIELDS + SIX_NULLS, DecodeErrorKind.UNKNOWN_FRAMING),
    "half a fingerprint": (BARE[:9], DecodeErrorKind.TRUNCATED),
    "another fingerprint": (b"\xc3\x01" + bytes(8) + BARE[10:], DecodeErrorKind.UNKNOWN_SCHEMA),
    "the fingerprint turned round": (b"\xc3\x01" + BARE[9:1:-1] + BARE[10:], DecodeErrorKind.UNKNOWN_SCHEMA),
    "another registry ID": (b"\x00\x00\x00\x00\x02" + NINE_FIELDS, DecodeErrorKind.UNKNOWN_SCHEMA),
    "a frame alone": (V2_HEADER, DecodeErrorKind.TRUNCATED),
    "version 1 said to be version 2": (V2_HEADER + NINE_FIELDS, DecodeErrorKind.TRUNCATED),
    "version 2 said to be version 1": (V1_HEADER + BARE[10:], DecodeErrorKind.TRAILING_BYTES),
    "the end inside an integer": (BARE[: BARE.index(bytes.fromhex(VIEWED_AT)) + 3], DecodeErrorKind.TRUNCATED),
    "a length past the end": (bare_with(USER_ID, "fe3f752d31303031"), DecodeErrorKind.TRUNCATED),
    "a length of 2 GiB": (bare_with(USER_ID, "feffffff0f752d31303031"), DecodeErrorKind.TRUNCATED),
    "a length of 8 EiB": (bare_with(USER_ID, "feffffffffffffffff01752d31303031"), DecodeErrorKind.TRUNCATED),
    "one byte behind": (BARE + b"\x00", DecodeErrorKind.TRAILING_BYTES),
    "65,536 bytes": (BARE.ljust(65_536, b"\x00"), DecodeErrorKind.TRAILING_BYTES),
    "two events in one message": (BARE + BARE, DecodeErrorKind.TRAILING_BYTES),
    "a length in too many bytes": (bare_with(USER_ID, "8c00752d31303031"), DecodeErrorKind.MALFORMED),
    "a length in 11 bytes": (bare_with(USER_ID, "8c80808080808080808000752d31303031"), DecodeErrorKind.MALFORMED),
    "a time in too many bytes": (bare_with(VIEWED_AT, "eabcbae5ded7a38600"), DecodeErrorKind.MALFORMED),
    "a time in 80 bytes": (bare_with(VIEWED_AT, "80" * 79 + "00"), DecodeErrorKind.MALFORMED),
    "a time past the year 9999": (bare_with(VIEWED_AT, "feffffffffffffffff01"), DecodeErrorKind.MALFORMED),
    "a user type of -1": (bare_with("02" + VIEWED_AT, "01" + VIEWED_AT), DecodeErrorKind.MALFORMED),
    "a user type of 2": (bare_with("02" + VIEWED_AT, "04" + VIEWED_AT), DecodeErrorKind.MALFORMED),
    "a branch of -1, a text": (BARE[:-1] + b"\x01\x04GB", DecodeErrorKind.MALFORMED),
    "a branch of -2, a null": (BARE[:-1] + b"\x03", DecodeErrorKind.MALFORMED),
    "a branch of 2": (BARE[:-1] + b"\x04", DecodeErrorKind.MALFORMED),
    "a branch in two bytes": (BARE[:-1] + b"\x80\x00", DecodeErrorKind.MALFORMED),
    "text that is no UTF-8": (bare_with(USER_ID, "0c752dff303031"), DecodeErrorKind.MALFORMED),
    "no UTF-8 at the very end": (FULL[:-2] + b"G\xc3", DecodeErrorKind.MALFORMED),
    "an encoded surrogate": (bare_with(USER_ID, "0c752deda08031"), DecodeErrorKind.MALFORMED),
    "an over-long NUL": (bare_with(USER_ID, "0c752dc0803031"), DecodeErrorKind.MALFORMED),
    "an event ID that is no UUID": (BARE.replace(b"0198c0de", b"0198c0dg"), DecodeErrorKind.MALFORMED),
    "an event ID in capitals": (BARE.replace(b"0198c0de", b"0198C0DE"), DecodeErrorKind.MALFORMED),
    "an event ID without hyphens": (BARE.replace(EVENT_ID, WITHOUT_HYPHENS), DecodeErrorKind.MALFORMED),
    "an event ID in braces": (BARE.replace(EVENT_ID, b"\x4c{" + EVENT_ID[1:] + b"}"), DecodeErrorKind.MALFORMED),
    "an empty user ID": (bare_with(USER_ID, "00"), DecodeErrorKind.OUT_OF_LIMITS),
    "a blank before a user ID": (bare_with(USER_ID, "0c202d31303031"), DecodeErrorKind.OUT_OF_LIMITS),
    "a NUL in a user ID": (bare_with(USER_ID, "0c752d00303031"), DecodeErrorKind.OUT_OF_LIMITS),
    "a user ID of 129 characters": (bare_with(USER_ID, "8202" + "78" * 129), DecodeErrorKind.OUT_OF_LIMITS),
    "no e-mail address": (BARE.replace(b'"@example.com', b'" example.com'), DecodeErrorKind.OUT_OF_LIMITS),
    "a time before 1970": (bare_with(VIEWED_AT, "01"), DecodeErrorKind.OUT_OF_LIMITS),
    "a country in small letters": (FULL[:-2] + b"gb", DecodeErrorKind.OUT_OF_LIMITS),
}


@pytest.mark.parametrize(("message", "kind"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_event_is_refused_as_what_it_is(message: bytes, kind: DecodeErrorKind) -> None:
    assert refusal(message).kind is kind


def test_every_kind_of_refusal_is_reached() -> None:
    assert {kind for _, kind in REFUSED.values()} == set(DecodeErrorKind)


@pytest.mark.parametrize("message", [message for message, _ in REFUSED.values()], ids=REFUSED)
def test_a_refusal_never_quotes_the_message(message: bytes) -> None:
    error = refusal(message)
    assert str(error) == f"{error.kind}: {error.detail}"
    assert not [piece for piece in ("1001", "Zoë", "john", "Projekt", "m-42", "0198") if piece in str(error)]


def test_a_user_type_of_minus_1_is_not_taken_for_the_last_one() -> None:
    parsed = newest_schema(MatterViewed).parsed
    lenient: Any = fastavro.schemaless_reader(io.BytesIO(REFUSED["a user type of -1"][0][10:]), parsed, None)
    assert lenient["user_type"] == "Member"
    assert refusal(REFUSED["a user type of -1"][0]).kind is DecodeErrorKind.MALFORMED


@each_message
def test_every_truncation_is_refused(message: bytes) -> None:
    frame = 10 if message.startswith(b"\xc3") else 5
    kinds = [refusal(message[:length]).kind for length in range(len(message))]
    assert set(kinds[frame:]) == {DecodeErrorKind.TRUNCATED}
    assert set(kinds[:frame]) <= {DecodeErrorKind.TRUNCATED, DecodeErrorKind.UNKNOWN_FRAMING}


@each_message
def test_every_appended_byte_is_refused(message: bytes) -> None:
    kinds = {refusal(message + bytes([byte])).kind for byte in range(256)}
    assert kinds == {DecodeErrorKind.TRAILING_BYTES}


@each_message
def test_every_other_value_of_every_byte_is_refused_or_exact(message: bytes) -> None:
    refused = 0
    for place in range(len(message)):
        for byte in range(256):
            refused += assert_refused_or_exact(message[:place] + bytes([byte]) + message[place + 1 :])
    assert 0 < refused < 256 * len(message)


def mutations(message: bytes, dice: random.Random) -> Iterator[bytes]:
    """Yield the message with one to four runs of bytes cut out, doubled, drawn anew or taken from another one."""
    for _ in range(MUTATIONS_A_MESSAGE):
        mutated = message
        for _ in range(dice.randint(1, 4)):
            start = dice.randrange(len(mutated) + 1)
            stop = min(len(mutated), start + dice.choice((0, 1, 2, 8, 40)))
            other = dice.choice(MESSAGES)
            run = dice.choice((b"", mutated[start:stop] * 2, dice.randbytes(dice.randint(1, 12)), other[start:stop]))
            mutated = mutated[:start] + run + mutated[stop:]
        yield mutated


@each_message
def test_thousands_of_mutations_are_refused_or_exact(message: bytes) -> None:
    dice = random.Random(2026)  # noqa: S311 - repeatable, not secret
    refused = [assert_refused_or_exact(mutated) for mutated in mutations(message, dice)]
    assert sum(refused) > MUTATIONS_A_MESSAGE // 2


@settings(max_examples=500)
@given(st.sampled_from([message[:10] for message in SINGLE_OBJECTS]), st.binary(max_size=200))
def test_any_bytes_behind_a_known_frame_are_refused_or_exact(frame: bytes, body: bytes) -> None:
    assert_refused_or_exact(frame + body)
