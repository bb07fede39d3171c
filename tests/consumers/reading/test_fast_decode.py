"""The compiled decoder says of every message what the reference says, on valid and on broken bytes."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.records import DecodedRecords, Record, micros_of
from matterlog.schemas import MatterViewed, Topics, decode, encode
from matterlog.schemas.codec import MAX_PAYLOAD_BYTES, newest_schema, schemas
from testbed.events import a_deletion, a_view, record_of

TOPICS: Final = Topics()
OFFICE: Final = {"user_company_id": "C-1", "user_company_name": "Acme", "user_member_office_location_iso2": "GB"}
REGISTERED: Final = {7: newest_schema(MatterViewed), 8: next(iter(schemas().values()))}


def both(records: list[Record]) -> tuple[DecodedRecords, DecodedRecords]:
    fast = decode_records(records, TOPICS, REGISTERED, decode_views)
    return fast, decode_records(records, TOPICS, REGISTERED)


def assert_agreement(records: list[Record]) -> None:
    fast, reference = both(records)
    order = [("kafka_partition", "ascending"), ("kafka_offset", "ascending")]
    assert fast.views.sort_by(order).equals(reference.views.sort_by(order))
    assert fast.deletions.equals(reference.deletions)
    assert (fast.rejects, fast.tombstones) == (reference.rejects, reference.tombstones)


def first_version(view: MatterViewed) -> bytes:
    """A view as the first version of its schema writes it: without the six optional fields."""
    return b"\xc3\x01" + next(iter(schemas())) + encode(view)[10:-6]


def written(offset: int, view: MatterViewed, payload: bytes | None) -> Record:
    return record_of(view, offset % 3, offset)._replace(value=payload)


def a_mixture(seed: int, count: int) -> list[Record]:
    """Views of both versions in both frames, deletions, tombstones, and bytes broken in many ways."""
    chance = random.Random(seed)  # noqa: S311 - the same mixture each time
    writers: list[Callable[[MatterViewed], bytes | None]] = [
        *[encode] * 20,
        lambda view: encode(view, 7),
        lambda view: encode(view, 9),
        first_version,
        lambda _: None,
        lambda _: b"poison",
        lambda _: encode(a_deletion()),
        lambda view: broken(encode(view), chance),
        lambda view: broken(encode(view), chance),
    ]
    views = [a_view(user_name=f"name {number}", **chance.choice([{}, OFFICE])) for number in range(count)]
    return [written(offset, view, chance.choice(writers)(view)) for offset, view in enumerate(views)]


def broken(payload: bytes, chance: random.Random) -> bytes:
    """One byte changed, bytes cut off, or bytes added."""
    index = chance.randrange(len(payload))
    changed = payload[:index] + bytes([chance.randrange(256)]) + payload[index + 1 :]
    return chance.choice([changed, changed, changed, payload[:index], payload + bytes(chance.randrange(1, 4))])


@pytest.mark.parametrize("seed", range(20))
def test_both_decoders_agree_on_mixtures_of_good_and_broken_messages(seed: int) -> None:
    """Twenty mixtures of several hundred messages each."""
    assert_agreement(a_mixture(seed, 300))


@given(st.lists(st.binary(max_size=60), max_size=8), st.data())
def test_both_decoders_agree_on_bytes_behind_a_good_frame(bodies: list[bytes], data: st.DataObject) -> None:
    """Whatever stands behind the frame."""
    frames = [encode(a_view())[:10], b"\x00\x00\x00\x00\x07", b"\x00\x00\x00\x00\x08"]
    records = [
        written(offset, a_view(), data.draw(st.sampled_from(frames)) + body) for offset, body in enumerate(bodies)
    ]
    assert_agreement(records)


@pytest.mark.parametrize("index", range(10, 110))
def test_both_decoders_agree_on_every_value_of_a_byte(index: int) -> None:
    """Lengths, indexes, text and times: each byte of a message, all 256 values."""
    view = a_view(**OFFICE)
    payload = encode(view)
    values = (
        [payload[:index] + bytes([byte]) + payload[index + 1 :] for byte in range(256)] if index < len(payload) else []
    )
    assert_agreement([written(offset, view, value) for offset, value in enumerate(values)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_email": "not an address"},
        {"user_id": " edge"},
        {"user_id": ""},
        {"user_name": "control \x07"},
        {"user_name": "x" * 1_001},
        {"matter_id": "M\n"},
        {"user_member_office_location_iso2": "gb"},
        {"event_id": "01A204A0-9509-7000-B8C3-BCBFC7DCF174"},
        {"event_id": "01a204a095097000b8c3bcbfc7dcf174"},
        {"matter_viewed_at": datetime(1969, 12, 31, tzinfo=UTC)},
    ],
)
def test_a_value_outside_its_limits_is_the_references_reject(wrong: dict[str, object]) -> None:
    """Well-formed Avro with a value that no event may have, among good ones."""
    views = [a_view() for _ in range(3)]
    bad = encode(MatterViewed.model_construct(**{**views[1].__dict__, **wrong}))
    records = [
        written(0, views[0], encode(views[0])),
        written(1, views[1], bad),
        written(2, views[2], encode(views[2])),
    ]
    assert_agreement(records)
    fast, _ = both(records)
    assert fast.views["kafka_offset"].to_pylist() == [0, 2]
    assert len(fast.rejects) == 1


def test_a_good_view_under_another_key_is_a_reject() -> None:
    """Also without any key."""
    records = [record_of(a_view(), 0, offset)._replace(key=key) for offset, key in enumerate((b"other", None))]
    assert_agreement(records)


@pytest.mark.parametrize("text", [str.upper, lambda text: text.replace("-", ""), lambda text: text[:-1] + "g"])
def test_an_event_id_in_another_form_is_the_references_reject(text: Callable[[str], str]) -> None:
    """Also where the key is the very same text: two keys of one event would not be compacted together."""
    views = [a_view(event_id=UUID("01a204a0-9509-7000-b8c3-bcbfc7dcf174")), a_view()]
    other = text(str(views[0].event_id))
    bad = encode(MatterViewed.model_construct(**{**views[0].__dict__, "event_id": other}))
    records = [written(0, views[0], bad)._replace(key=other.encode()), written(1, views[1], encode(views[1]))]
    assert_agreement(records)
    assert len(both(records)[0].rejects) == 1


def test_an_oversize_message_is_the_references_reject() -> None:
    """However well-formed."""
    long = a_view().model_copy(update={"user_name": "x" * MAX_PAYLOAD_BYTES})
    assert_agreement([written(0, long, encode(long)), record_of(a_view(), 0, 1)])


def test_a_bad_message_costs_only_its_neighbours_the_slow_way() -> None:
    """Bisection: of a thousand messages with one truncated, nearly all are decoded at once."""
    views = [a_view() for _ in range(1_000)]
    payloads = [encode(view) for view in views]
    payloads[617] = payloads[617][:-3]
    keys: list[bytes | None] = [str(view.event_id).encode() for view in views]
    table, suspects = decode_views(payloads, keys, {})
    assert 617 in suspects
    assert len(suspects) <= 32
    assert table.num_rows == 1_000 - len(suspects)


def test_a_panic_of_the_compiled_decoder_is_a_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rust's panic is no Exception; the reference decides."""

    class PanicException(BaseException):
        pass

    def panics(*_: object) -> None:
        raise PanicException

    monkeypatch.setattr("pyruhvro.deserialize_array", panics)
    assert_agreement([record_of(a_view(), 0, offset) for offset in range(3)])


def test_most_views_do_not_go_the_references_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agreement would hold as well if every message were a suspect: none of these may be."""
    views = [a_view(), a_view(**OFFICE), a_view(), a_view()]
    payloads = [encode(views[0]), encode(views[1]), first_version(views[2]), encode(views[3], 7)]
    records = [written(offset, view, value) for offset, (view, value) in enumerate(zip(views, payloads, strict=True))]
    monkeypatch.setattr(fastavro, "schemaless_reader", None)
    assert decode_records(records, TOPICS, REGISTERED, decode_views).views.num_rows == 4


def over_long(number: int, size: int) -> bytes:
    """A zigzag varint of more bytes than it needs."""
    left = number << 1
    return bytes([*((left >> 7 * index) & 0x7F | 0x80 for index in range(size - 1)), left >> 7 * (size - 1)])


@pytest.mark.parametrize("registry_id", [None, 7], ids=["single object", "confluent"])
@pytest.mark.parametrize("size", [2, 3, 9, 10])
@pytest.mark.parametrize("shortened", [0, 1, 8])
def test_an_over_long_integer_is_the_references_reject(size: int, shortened: int, registry_id: int | None) -> None:
    """Also where other bytes are missing, so that the message keeps its length; in both frames."""
    view = a_view(user_id="u" * 20)
    good = encode(view, registry_id)
    index = good.index(bytes([40]) + b"u" * 20)
    text = "u" * (20 - shortened)
    bad = good[:index] + over_long(len(text), size) + text.encode() + good[index + 21 :]
    assert_agreement([written(0, view, bad), record_of(a_view(), 0, 1)])
    assert len(both([written(0, view, bad)])[0].rejects) == 1


def micros_varint(instant: datetime, further: int = 0) -> bytes:
    """So many microseconds behind an instant, as Avro writes a long."""
    left = micros_of(instant) + further << 1
    written = []
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*written, left])


@pytest.mark.parametrize("registry_id", [None, 7], ids=["single object", "confluent"])
@pytest.mark.parametrize("further", [0, 1, 10**15])
def test_an_instant_behind_the_calendars_end_is_the_references_reject(further: int, registry_id: int | None) -> None:
    """No row may hold the year 10000; the last microsecond of 9999 is an instant still."""
    last = datetime.max.replace(tzinfo=UTC)
    view = a_view(matter_viewed_at=last)
    payload = encode(view, registry_id)
    assert payload.count(micros_varint(last)) == 1
    records = [written(0, view, payload.replace(micros_varint(last), micros_varint(last, further)))]
    assert_agreement(records)
    assert len(both(records)[0].rejects) == (further > 0)


@pytest.mark.parametrize("name", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_text_that_is_no_utf_8_is_the_references_reject(name: bytes) -> None:
    """A lone byte, an over-long form, half a surrogate pair, and more than Unicode has."""
    view = a_view(user_name="x" * len(name))
    bad = encode(view).replace(b"x" * len(name), name)
    assert_agreement([written(0, view, bad), record_of(a_view(), 0, 1)])
    assert len(both([written(0, view, bad)])[0].rejects) == 1


@pytest.mark.parametrize("characters", [63, 64, 1_000])
def test_long_texts_do_not_go_the_references_way(characters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a length takes one byte more; the reference would take them all the same."""
    payloads = [encode(a_view(user_name=letter * characters)) for letter in "xä€"]
    views = [decode(payload) for payload in payloads]
    monkeypatch.setattr(fastavro, "schemaless_reader", None)
    table, suspects = decode_views(payloads, [str(view.event_id).encode() for view in views], {})
    assert (table.num_rows, suspects) == (3, [])
