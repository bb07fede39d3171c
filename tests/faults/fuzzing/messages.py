"""The doors for messages: the decoders in both frames, with keys and headers, and the store behind them.

The decoder's trial is a batch: both decoders must say the same of each message, and each is a view, a deletion, a
tombstone or a reject. The store's trial is a batch too, in a real database: each message becomes a row, a deletion or a
dead letter, or is counted as a duplicate, refused or a tombstone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Final

from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.records import DecodedRecords, Headers, Record
from matterlog.schemas import DecodeError, MatterDeleted, MatterViewed, Topics, decode, encode
from matterlog.schemas.codec import MAX_PAYLOAD_BYTES, newest_schema, schemas
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.feed import DELETIONS, VIEWS, letters, moves_of, rows
from tests.faults.fuzzing.damage import damaged, odd_text, pick
from tests.faults.fuzzing.doors import Try

TOPICS: Final = Topics()
FIRST, NEWEST = next(iter(schemas().values())), newest_schema(MatterViewed)
DELETED: Final = newest_schema(MatterDeleted)
REGISTERED: Final = {7: NEWEST, 8: FIRST, 2**31 - 1: DELETED}
VIEW_FRAMES: Final = (
    *(b"\xc3\x01" + NEWEST.fingerprint,) * 3,
    b"\xc3\x01" + FIRST.fingerprint,
    b"\x00\x00\x00\x00\x07",
    b"\x00\x00\x00\x00\x08",
)
DELETION_FRAMES: Final = (b"\xc3\x01" + DELETED.fingerprint, b"\x00\x7f\xff\xff\xff")
ODD_FRAMES: Final = (b"", b"\xc3", b"\xc3\x01", b"\x00", b"\x00\x00\x00\x00\x09", b"\xc3\x01" + bytes(8), b"\x00" * 5)
# The values of a view's fields behind the event ID, by field: a few good ones each.
GOOD: Final = (
    ("u-1001", "\U0001f6a2", "x" * 128),
    ('Zoe "Zed" O\u2019Hara', "", "\u7b2c\u4e8c\n", "n" * 1_000),
    ("zoe@example.com", '"john smith"@example.com', "\u7b2c@\u00e9.example"),
)
MATTERS: Final = tuple(f"m-{number}" for number in range(40))
HEADERS: Final[tuple[Headers, ...]] = (
    *((),) * 3,
    (("ce_id", b"1"), ("ce_id", b"\xff\x00")),
    (("", None),),
    (("a\0b", b"\0"),) * 50,
)
DECODER_BATCH: Final = 250
STORE_BATCH: Final = 1_000


def integer(number: int) -> bytes:
    """Write an integer as Avro does."""
    left = (number << 1 ^ number >> 63) & (1 << 64) - 1
    written = bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*written, left])


@lru_cache(1_000)
def text(value: str) -> bytes:
    """Write a text as Avro does."""
    data = value.encode("utf-8", "surrogatepass")
    return integer(len(data)) + data


def _odd_field(dice: Random) -> bytes:
    way = dice.random()
    if way < 0.5:
        return text(odd_text(dice))
    return integer(pick((0, 1, 2, -1, -2, 64, 2**31, 2**62, -(2**63), 2**63 - 1, 253_402_300_800_000_000), dice))


def _optional(dice: Random) -> list[bytes]:
    if dice.random() < 0.6:
        return [b"\x00"] * 6
    return [
        b"\x02" + text(value) if dice.random() < 0.8 else b"\x00"
        for value in ("c-7", "Hale & Co", "o-3", "", "London", "GB")
    ]


def new_id(dice: Random) -> str:
    """Return an event ID: most are of version 7, as those of our producers."""
    digits = f"{dice.getrandbits(128):032x}"
    version = "7" if dice.random() < 0.9 else digits[12]
    return f"0198{digits[:4]}-{digits[4:8]}-{version}{digits[9:12]}-8{digits[13:16]}-{digits[16:28]}"


def _view(event_id: str, frame: bytes, dice: Random) -> list[bytes]:
    """Return a good view as the frame and its fields."""
    user, name, email = (text(pick(values, dice)) for values in GOOD)
    instant = integer(int(dice.random() * 2**50))
    fields = [text(event_id), user, name, email, pick((b"\x00", b"\x02"), dice), instant]
    fields += [text(pick(MATTERS, dice)), text("Heron"), pick((b"\x00", b"\x02"), dice)]
    return [frame, *fields, *(_optional(dice) if frame in VIEW_FRAMES[:3] + VIEW_FRAMES[4:5] else ())]


def _deletion(event_id: str, dice: Random, matters: tuple[str, ...]) -> list[bytes]:
    return [pick(DELETION_FRAMES, dice), text(event_id), text(pick(matters, dice)), integer(int(dice.random() * 2**50))]


def _worse(parts: list[bytes], dice: Random) -> bytes:
    """Return a message of these parts with damage to its bytes or to its fields."""
    at, way = int(dice.random() * len(parts)), dice.random()
    if way < 0.45:
        return damaged(b"".join(parts), dice, ODD_FRAMES)
    if way < 0.7:
        parts[at] = _odd_field(dice)
    elif way < 0.8:
        other = int(dice.random() * len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    elif way < 0.85:
        del parts[at]
    elif way < 0.9:
        parts[at:at] = parts[at : at + 1] * pick((1, 5, 2_000), dice)
    elif way < 0.95:
        parts[0] = pick(ODD_FRAMES + VIEW_FRAMES + DELETION_FRAMES, dice)
    else:
        parts.append(pick((b"\0", b"\0" * 70_000, b"\xff"), dice))
    return b"".join(parts)


def a_message(topic: str, offset: int, dice: Random, share_of_damage: float, matters: tuple[str, ...]) -> Record:
    """Return a message for a topic: good or damaged, with its own key or another one."""
    event_id = new_id(dice)
    of_topic = dice.random() < 0.95
    if (topic == VIEWS) == of_topic:
        parts = _view(event_id, pick(VIEW_FRAMES, dice), dice)
    else:
        parts = _deletion(event_id, dice, matters)
    value: bytes | None = _worse(parts, dice) if dice.random() < share_of_damage else b"".join(parts)
    key: bytes | None = event_id.encode() if parts[0] in VIEW_FRAMES else parts[min(2, len(parts) - 1)][1:]
    if dice.random() < 0.05:
        key = pick((None, b"", b"\xff", event_id.upper().encode(), b"k" * 3_000), dice)
    if dice.random() < 0.02:
        value = pick((None, b"", b"\0", bytes(MAX_PAYLOAD_BYTES + 1)), dice)
    timestamp = pick((1_700_000_000_000, None, -1, -(2**62), 2**62), dice)
    return Record(topic, 0, offset, timestamp, key, pick(HEADERS, dice), value)


def _same(fast: DecodedRecords, reference: DecodedRecords) -> None:
    assert fast.views.sort_by("kafka_offset").equals(reference.views.sort_by("kafka_offset")), "another view"
    assert fast.deletions.equals(reference.deletions), "another deletion"
    assert fast.rejects == reference.rejects, "another reject"


def decode_batch(dice: Random) -> int:
    """Decode a batch both ways."""
    topic = pick((VIEWS, VIEWS, VIEWS, DELETIONS), dice)
    records = [a_message(topic, offset, dice, 0.8, MATTERS) for offset in range(DECODER_BATCH)]
    fast = decode_records(records, TOPICS, REGISTERED, decode_views)
    _same(fast, decode_records(records, TOPICS, REGISTERED))
    found = fast.views.num_rows + fast.deletions.num_rows + len(fast.rejects) + fast.tombstones
    assert found == len(records), f"{found} of {len(records)} messages"
    return len(records)


def decode_one(dice: Random) -> int:
    """What the decoder takes is what the encoder writes: the event comes back."""
    record = a_message(pick((VIEWS, DELETIONS), dice), 0, dice, 0.8, MATTERS)
    if record.value is not None:
        try:
            event = decode(record.value, REGISTERED)
        except DecodeError as error:
            assert str(error)  # noqa: PT017 - it says why
        else:
            assert decode(encode(event)) == event
    return 1


class _Batches:
    """Batches of one store. What the tables hold is counted after each, and in the end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sum = BatchResult()

    def try_once(self, dice: Random) -> int:
        """Apply one batch, and count what became of its messages."""
        positions = self._store.positions()
        records: list[Record] = []
        # Few matters are deleted, or nothing but refused views would be left soon.
        matters = tuple(f"{pick(MATTERS, dice)}-{dice.getrandbits(16)}" for _ in range(3)) + MATTERS[:1]
        for topic, share in ((VIEWS, 0.9), (DELETIONS, 0.1)):
            stood = positions.get((topic, 0))
            first = 0 if stood is None else stood.next_offset
            count = int(STORE_BATCH * share)
            records += [a_message(topic, first + at, dice, 0.4, matters) for at in range(count)]
            for at in range(0, count, 40):
                # The same message again, and the same event with another content.
                records[-1 - at] = records[-1 - at]._replace(key=records[-2].key, value=records[-2].value)
        decoded = decode_records(records, TOPICS, REGISTERED, decode_views)
        before = self._letters()
        applied = self._store.apply(decoded, moves_of(records, positions), _decode_again)
        kinds = (applied.views, applied.duplicates, applied.refused, applied.deletions, applied.tombstones)
        assert applied.records == sum(kinds) + applied.dead_letters, applied
        self._sum += applied
        ((held,),) = rows(self._store, "SELECT count(*) FROM activity")
        assert held == self._sum.views - self._sum.views_purged, (held, self._sum)
        assert applied.records >= len(records)
        assert applied.matters_deleted or self._letters() == before + applied.dead_letters
        return len(records)

    def _letters(self) -> int:
        ((held,),) = rows(self._store, "SELECT count(*) FROM dead_letters")
        return int(held)


def _decode_again(records: Sequence[Record]) -> DecodedRecords:
    return decode_records(records, TOPICS, REGISTERED)


@contextmanager
def store(folder: Path) -> Iterator[Try]:
    """A database that batches go into. In the end each dead letter can be shown."""
    with Store(DatabaseFiles(folder / "log.duckdb")) as opened:
        yield _Batches(opened).try_once
        for letter in letters(opened):
            letter.as_json()
