"""Dead letters: messages that could not be read as events, kept whole until somebody retries or discards them.

An *address* identifies one: its topic, partition and offset, written ``topic:partition:offset``. Many of them are read
in *slices*, of SLICE_BYTES each: a message may have a million bytes, and a database a million of messages.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import duckdb
import pyarrow as pa

from matterlog.consumers.database.transaction import Transaction, calendar_ms, incoming
from matterlog.consumers.errors import ConsumerError
from matterlog.consumers.reading.records import Record, Reject, table_of
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "dead_letters.sql")
SLICE_BYTES: Final = 16 << 20

_ADDRESSES: Final = pa.schema({"topic": pa.string(), "kafka_partition": pa.int32(), "kafka_offset": pa.int64()})
_HEADER: Final = pa.struct([pa.field("name", pa.string()), pa.field("value", pa.binary())])
_REJECTS: Final = pa.schema(
    {
        "topic": pa.string(),
        "kafka_partition": pa.int32(),
        "kafka_offset": pa.int64(),
        "kafka_timestamp": pa.timestamp("ms"),
        "key": pa.binary(),
        "headers": pa.list_(_HEADER),
        "payload": pa.binary(),
        "error_kind": pa.string(),
        "error_detail": pa.string(),
        "matter_id": pa.string(),
        "ordinal": pa.int64(),
    }
)


def _is_below(text: str, limit: int) -> bool:
    return text.isdecimal() and len(text) <= len(str(limit)) and int(text) < limit


class DeadLetterAddress(NamedTuple):
    """The topic, partition and offset of a dead letter."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``topic:partition:offset``.

        Raises:
            ConsumerError: the text has another form.
        """
        topic, _, rest = text.partition(":")
        partition, _, offset = rest.partition(":")
        # As Kafka counts them: in four and eight bytes.
        if not (topic and _is_below(partition, 1 << 31) and _is_below(offset, 1 << 63)):
            raise ConsumerError(
                f"{text!r} is not an address: write topic:partition:offset, as in `matterlog dead-letters list`"
            )
        return cls(topic, int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter: the message, why it could not be read, and when it was kept (UTC, as in the report)."""

    record: Record
    error_kind: str
    error_detail: str
    matter_id: str | None
    kept_at: str

    @property
    def address(self) -> DeadLetterAddress:
        """The address of the dead letter."""
        return DeadLetterAddress(self.record.topic, self.record.partition, self.record.offset)

    def as_json(self) -> dict[str, Any]:
        """Return the dead letter as JSON values, bytes in base64."""
        record = self.record
        return {
            "place": str(self.address),
            "timestamp_ms": record.timestamp_ms,
            "key": _base64(record.key),
            "headers": [[name, _base64(value)] for name, value in record.headers],
            "payload": _base64(record.value),
            "error_kind": self.error_kind,
            "error_detail": self.error_detail,
            "matter_ID": self.matter_id,
            "kept_at": self.kept_at,
        }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode("ascii")


class KeptLetter(NamedTuple):
    """A dead letter without its content, and how many bytes that has."""

    address: DeadLetterAddress
    key: bytes | None
    error_kind: str
    error_detail: str
    matter_id: str | None
    kept_at: str
    size: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "place": str(self.address),
            "bytes": self.size,
            "error_kind": self.error_kind,
            "error_detail": self.error_detail,
            "matter_ID": self.matter_id,
            "kept_at": self.kept_at,
        }


def list_dead_letters(
    connection: duckdb.DuckDBPyConnection, addresses: Sequence[DeadLetterAddress] | None = None
) -> list[DeadLetter]:
    """Read the dead letters at these addresses (None: all), whole."""
    if addresses is None:
        addresses = [letter.address for letter in kept_letters(connection)]
    with incoming(connection, "addresses", addresses_of(addresses)):
        return [_letter(row) for row in connection.execute(SQL["list"]).fetchall()]


def kept_letters(
    connection: duckdb.DuckDBPyConnection, addresses: Sequence[DeadLetterAddress] | None = None
) -> list[KeptLetter]:
    """Return what is known of the dead letters at these addresses (None: all).

    Raises:
        ConsumerError: there is no dead letter at one of the addresses.
    """
    kept = [KeptLetter(DeadLetterAddress(*row[:3]), *row[3:]) for row in connection.execute(SQL["kept"]).fetchall()]
    if addresses is None:
        return kept
    there = {letter.address for letter in kept}
    for address in addresses:
        if address not in there:
            raise ConsumerError(f"there is no dead letter at {address}")
    wanted = set(addresses)
    return [letter for letter in kept if letter.address in wanted]


def in_slices(sizes: Iterable[tuple[DeadLetterAddress, int]]) -> Iterator[list[DeadLetterAddress]]:
    """Yield addresses, which come with their letters' sizes, in slices of at most SLICE_BYTES or one letter."""
    slice_of: list[DeadLetterAddress] = []
    taken = 0
    for address, size in sizes:
        # Two records may stand at one address, after a topic was cut and filled again.
        if slice_of and taken + size > SLICE_BYTES and address != slice_of[-1]:
            yield slice_of
            slice_of, taken = [], 0
        slice_of.append(address)
        taken += size
    if slice_of:
        yield slice_of


def take_dead_letters(transaction: Transaction, addresses: Sequence[DeadLetterAddress]) -> list[DeadLetter]:
    """Remove the dead letters at these addresses and return them."""
    letters = list_dead_letters(transaction.connection, addresses)
    remove_dead_letters(transaction, addresses)
    return letters


def remove_dead_letters(transaction: Transaction, addresses: Sequence[DeadLetterAddress]) -> None:
    """Remove the dead letters at these addresses."""
    if addresses:
        with transaction.incoming("addresses", addresses_of(addresses)):
            transaction.connection.execute(SQL["remove"])


def addresses_of(addresses: Sequence[DeadLetterAddress]) -> pa.Table:
    """Return addresses as an Arrow table."""
    return table_of(addresses, _ADDRESSES)


def keep_dead_letters(transaction: Transaction, rejects: Sequence[Reject]) -> int:
    """Keep rejects whole, but for records that are kept already; return how many were kept."""
    if not rejects:
        return 0
    rows = [(*_reject_row(reject), ordinal) for ordinal, reject in enumerate(rejects)]
    with transaction.incoming("rejects", table_of(rows, _REJECTS)):
        may_be_kept = transaction.rows("addresses_are_kept") == [(True,)]
        kept = [ordinal for (ordinal,) in transaction.rows("kept_already")] if may_be_kept else []
        if kept and transaction.has_doubts():
            transaction.run("dead_letters_are_there", kept=kept)
        return transaction.run("keep_dead_letters", now=transaction.now, kept=kept)


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    *record, kind, detail, matter, kept_at = row
    topic, partition, offset, timestamp, key, headers, payload = record
    pairs = tuple((header["name"], header["value"]) for header in headers)
    return DeadLetter(
        record=Record(topic, partition, offset, timestamp, key, pairs, payload),
        error_kind=kind,
        error_detail=detail,
        matter_id=matter,
        kept_at=kept_at,
    )


def _reject_row(reject: Reject) -> tuple[object, ...]:
    *address, timestamp_ms, key, headers, value = reject.record
    named = [{"name": name, "value": content} for name, content in headers]
    why = (str(reject.kind), reject.detail, reject.matter_id)
    return (*address, calendar_ms(timestamp_ms), key, named, value, *why)
