"""Random histories of the log, and what must come of them in plain Python.

A *history* is what a few partitions of both topics hold: views, deletions, and everything that goes wrong with them.
A *reading* of a history is a sequence of batches that gives each partition's records in their order, and everything
else in any order. Histories have numbers; two of them share no partition, no matter and no event ID.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.reading.records import VIEW_COLUMNS, Record
from matterlog.schemas import Event, MatterDeleted, MatterType, MatterViewed, UserType, encode
from testbed.events import NOON, a_deletion, a_view, record_of
from testbed.feed import DELETIONS, VIEWS, letters, rows

PARTITIONS_A_HISTORY: Final = 3
_VIEWS_TOPIC: Final = ("view",) * 5 + ("duplicate", "conflict", "moved", "broken", "wrong-key", "wrong-event", "gone")
_DELETIONS_TOPIC: Final = ("deletion",) * 5 + ("broken", "wrong-key", "gone")
_OTHER_CONTENT: Final[tuple[dict[str, Any], ...]] = (
    {"user_name": "Somebody Else"},
    {"user_type": UserType.GUEST},
    {"matter_type": MatterType.DEMO},
    {"matter_viewed_at": NOON + timedelta(microseconds=1)},
    {"user_company_id": "c-1"},
    {"user_member_office_location_iso2": "GB"},
)
_BROKEN: Final = (
    ("unknown-framing", b"no event"),
    ("truncated", encode(a_view())[:40]),
    ("trailing-bytes", encode(a_view()) + b"\0"),
    ("unknown-schema", b"\xc3\x01" + bytes(8)),
)


@dataclass(frozen=True, slots=True)
class Message:
    """A record, and what its writer knows: the event in it, and why it is a dead letter at once (None: it is not)."""

    record: Record
    event: Event | None
    flaw: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tables hold of one history."""

    views: frozenset[tuple[Any, ...]]
    deleted: frozenset[tuple[Any, ...]]
    letters: frozenset[tuple[Any, ...]]


def tables(store: LogStore) -> tuple[list[Any], list[Any], list[Any]]:
    """The rows of the views, the deletions and the dead letters."""
    receipts = "SELECT matter_id, event_id, deleted_at, kafka_partition, kafka_offset FROM purges"
    kept = [(*letter.record, letter.error_kind) for letter in letters(store)]
    views = f"SELECT {', '.join(VIEW_COLUMNS.names)} FROM activity"  # noqa: S608 - our names
    return rows(store, views), rows(store, receipts), kept


def outcome_of(*tables: list[Any]) -> Outcome:
    """The rows as an outcome; none may stand twice in its table."""
    assert [len(table) for table in tables] == [len(set(table)) for table in tables]
    return Outcome(*map(frozenset, tables))


def expected(messages: list[Message]) -> Outcome:
    """The rule in plain Python: all valid views minus those of deleted matters, and what could not be understood."""
    deletions: dict[str, Message] = {}
    first: dict[UUID, Message] = {}
    rejects: list[tuple[Record, str]] = []
    for message in messages:
        if isinstance(message.event, MatterDeleted) and message.flaw is None:
            deletions.setdefault(message.event.matter_id, message)
    for message in messages:
        if message.record.value is None or (message.event and message.event.matter_id in deletions):
            continue
        if message.flaw is not None:
            rejects.append((message.record, message.flaw))
        elif isinstance(message.event, MatterViewed):
            known = first.setdefault(message.event.event_id, message)
            if known.event != message.event:
                rejects.append((message.record, "conflict"))
    return Outcome(
        views=frozenset(_row(message, *VIEW_COLUMNS.names[:-2]) for message in first.values()),
        deleted=frozenset(_row(message, "matter_id", "event_id", "deleted_at") for message in deletions.values()),
        letters=frozenset((*record, flaw) for record, flaw in rejects),
    )


def _row(message: Message, *columns: str) -> tuple[Any, ...]:
    values = [getattr(message.event, column) for column in columns]
    at_rest = [value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value for value in values]
    return (*at_rest, message.record.partition, message.record.offset)


class History:
    """What the partitions hold; ``dice`` decides it, ``number`` keeps it apart from other histories."""

    def __init__(self, number: int, dice: random.Random) -> None:
        """Write it."""
        self.number = number
        self.partitions: dict[tuple[str, int], list[Message]] = {}
        self._dice = dice
        self._serial = count()
        self._matters = [f"m-{number}-{each}" for each in range(dice.randint(1, 4))]
        for _ in range(dice.randint(1, 20)):
            self._write_to_views()
        for _ in range(dice.randint(0, 4)):
            self._write_to_deletions()

    def messages(self) -> list[Message]:
        """All messages, partition by partition."""
        return [message for messages in self.partitions.values() for message in messages]

    def reading(self, dice: random.Random) -> Iterator[list[Record]]:
        """Yield batches until everything is read; ``dice`` cuts them and mixes the partitions."""
        rest = [[message.record for message in reversed(messages)] for messages in self.partitions.values()]
        longest = dice.choice((1, 3, 8, 30))
        while rest := [records for records in rest if records]:
            batch = []
            for _ in range(dice.randint(1, longest)):
                records = dice.choice(rest)
                if records:
                    batch.append(records.pop())
            yield batch

    def _write_to_views(self) -> None:
        partition = (VIEWS, self._partition(self._dice.randrange(PARTITIONS_A_HISTORY)))
        known = [
            m.event for m in self.partitions.get(partition, ()) if isinstance(m.event, MatterViewed) and not m.flaw
        ]
        same = self._dice.choice(known) if known else None
        match self._dice.choice(_VIEWS_TOPIC):
            case "duplicate" if same:
                self._add(partition, same)
            case "conflict" if same:
                self._add(partition, same.model_copy(update=self._dice.choice(_OTHER_CONTENT)))
            case "moved" if same:
                self._add(partition, self._view(same.event_id))
            case "wrong-key":
                self._add(partition, self._view(self._event_id()), "wrong-key", key=b"another key")
            case "wrong-event":
                deletion = a_deletion(event_id=self._event_id(), matter_id=self._dice.choice(self._matters))
                self._add(partition, deletion, "wrong-event")
            case "broken" | "gone" as kind:
                self._add_without_event(partition, kind)
            case _:
                self._add(partition, self._view(self._event_id()))

    def _write_to_deletions(self) -> None:
        matter = self._dice.randrange(len(self._matters))
        # A deletion's key is its matter: all deletions of a matter are in one partition.
        partition = (DELETIONS, self._partition(matter % PARTITIONS_A_HISTORY))
        deletion = a_deletion(event_id=self._event_id(), matter_id=self._matters[matter])
        match self._dice.choice(_DELETIONS_TOPIC):
            case "wrong-key":
                self._add(partition, deletion, "wrong-key", key=b"another key")
            case "broken" | "gone" as kind:
                self._add_without_event(partition, kind)
            case _:
                self._add(partition, deletion)

    def _add(self, partition: tuple[str, int], event: Event, flaw: str | None = None, **changes: Any) -> None:
        record = record_of(event, partition[1], 0)._replace(topic=partition[0], **changes)
        self._append(partition, Message(record, event, flaw))

    def _add_without_event(self, partition: tuple[str, int], kind: str) -> None:
        flaw, value = (None, None) if kind == "gone" else self._dice.choice(_BROKEN)
        key = self._dice.choice((None, b"", b"\xff\0"))
        self._append(partition, Message(Record(*partition, 0, None, key, (), value), None, flaw))

    def _append(self, partition: tuple[str, int], message: Message) -> None:
        """Give the message the partition's next offset, or one a little behind it."""
        messages = self.partitions.setdefault(partition, [])
        offset = (messages[-1].record.offset + 1 if messages else 0) + self._dice.choice((0, 0, 0, 1, 7))
        headers = self._dice.choice(((), (("ce_id", b"1"), ("ce_id", None), ("", b""))))
        record = message.record._replace(offset=offset, headers=headers)
        messages.append(Message(record, message.event, message.flaw))

    def _view(self, event_id: UUID) -> MatterViewed:
        optional: dict[str, Any] = self._dice.choice(({}, {"user_company_name": "Zoë & Söhne\n\U0001f600"}))
        return a_view(event_id=event_id, matter_id=self._dice.choice(self._matters), **optional)

    def _partition(self, which: int) -> int:
        return self.number * PARTITIONS_A_HISTORY + which

    def _event_id(self) -> UUID:
        """A new ID of version 4 or 8, or one of version 7 that is a few milliseconds from all others."""
        version = self._dice.choice((4, 7, 7, 8))
        number = self._dice.getrandbits(128) & ~0xFFFF_FFFF | self.number << 8 | next(self._serial)
        if version == 7:
            number = (0x0198C0DE0000 + self._dice.getrandbits(8)) << 80 | number & (1 << 80) - 1
        return UUID(int=number & ~(0xF << 76) & ~(0b11 << 62) | version << 76 | 0b10 << 62)
