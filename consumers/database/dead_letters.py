"""Dead letters: messages that could not be read as events, kept whole until somebody retries or discards them.

An *address* identifies one: its topic, partition and offset, written ``topic:partition:offset``.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import duckdb
import pyarrow as pa

from matterlog.consumers.database.transaction import Transaction, calendar_ms
from matterlog.consumers.errors import ConsumerError
from matterlog.consumers.reading.records import Record, Reject, table_of
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "dead_letters.sql")

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
    }
)


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
        if not (topic and partition.isdecimal() and offset.isdecimal()):
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


def list_dead_letters(connection: duckdb.DuckDBPyConnection) -> list[DeadLetter]:
    """Read every dead letter."""
    return [_letter(row) for row in connection.execute(SQL["list"]).fetchall()]


def take_dead_letters(transaction: Transaction, addresses: Sequence[DeadLetterAddress] | None) -> list[DeadLetter]:
    """Remove the dead letters at these addresses (None: all) and return them.

    Raises:
        ConsumerError: there is no dead letter at one of the addresses.
    """
    letters = _chosen(list_dead_letters(transaction.connection), addresses)
    if letters:
        with transaction.incoming("addresses", addresses_of(letters)):
            transaction.connection.execute(SQL["remove"])
    return letters


def addresses_of(letters: Sequence[DeadLetter]) -> pa.Table:
    """Return where dead letters stood, as an Arrow table."""
    return table_of([letter.address for letter in letters], _ADDRESSES)


def _chosen(letters: Sequence[DeadLetter], addresses: Sequence[DeadLetterAddress] | None) -> list[DeadLetter]:
    if addresses is None:
        return list(letters)
    # After a topic was cut and filled again, two records may have stood at one address.
    by_address: dict[DeadLetterAddress, list[DeadLetter]] = {}
    for letter in letters:
        by_address.setdefault(letter.address, []).append(letter)
    for address in addresses:
        if address not in by_address:
            raise ConsumerError(f"there is no dead letter at {address}")
    return [letter for address in dict.fromkeys(addresses) for letter in by_address[address]]


def keep_dead_letters(transaction: Transaction, rejects: Sequence[Reject]) -> int:
    """Keep rejects whole, but for records that are kept already; return how many were kept."""
    if not rejects:
        return 0
    with transaction.incoming("rejects", table_of([_reject_row(reject) for reject in rejects], _REJECTS)):
        if transaction.has_doubts():
            transaction.run("dead_letters_are_there")
        return transaction.run("keep_dead_letters", now=transaction.now)


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
    record = reject.record
    return (
        record.topic,
        record.partition,
        record.offset,
        calendar_ms(record.timestamp_ms),
        record.key,
        [{"name": name, "value": value} for name, value in record.headers],
        record.value,
        str(reject.kind),
        reject.detail,
        reject.matter_id,
    )
