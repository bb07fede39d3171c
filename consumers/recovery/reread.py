"""Reading partitions again from their beginning, after their topic was cut and filled again.

1. The database keeps all that it holds. The table drops doubles; views of deleted matters are refused and buried
   again, since the topic may have lost their tombstones.
2. What the log holds of such a partition counts as *database-only* until its record comes again. What is left of that
   when the end is reached is in no topic any more: no rebuild would bring it back.
3. A partition of which nothing tells whether it was cut is read again with those that were.
4. What expired before it was read does not come again: it is recorded as missing, if the operator accepts that. What a
   topic that was cut or created again had lost unread is not known.
5. It all stands in the database: after a crash ``consume`` goes on with it.
"""

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

import duckdb

from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import PositionExpired
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.positions_check import compare, find_gaps
from matterlog.consumers.reading.records import Gap, TopicPartition
from matterlog.schemas import Topics
from matterlog.schemas.storage.statements import load_statements

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "reread.sql")


class DatabaseOnly(NamedTuple):
    """What a database holds and the topics do not: how many views, deletions and dead letters.

    ``cut`` partitions wait to be read again, and ``rereading`` ones are being read: of those not all is known yet.
    """

    views: int
    deletions: int
    dead_letters: int
    cut: int
    rereading: int

    def __str__(self) -> str:
        return f"{self.views:,} views, {self.deletions:,} deletions and {self.dead_letters:,} dead letters"


def begin_reread(
    source: KafkaSource, store: Store, topics: Topics, *, every: bool, accept_gaps: bool
) -> Sequence[TopicPartition]:
    """Set the positions of the partitions that have to be read again to their beginnings; return these partitions.

    Args:
        source: asks Kafka; nobody reads with it meanwhile.
        store: the log.
        topics: of the log.
        every: whether to read all partitions again, whatever Kafka says of them.
        accept_gaps: record records of these partitions that expired before they were read as missing.

    Raises:
        PositionExpired: there are such records, and they are not accepted. Nothing was changed.
        BrokerUnavailable, TopicMissing, StoreFailed
    """
    positions, cuts = store.positions(), store.cuts()
    found = source.find(positions)
    same = compare(positions, found)
    if not (every or cuts or False in same.values()):
        return []
    again = sorted({*cuts, *(partition for partition, is_same in same.items() if every or not is_same)})
    gaps = find_gaps({each: positions.get(each) for each in again}, found)
    for gap in gaps:
        tell_gap(gap, "reread --all" if every else "reread", accepted=accept_gaps)
    store.begin_rereads(again, found, topics, gaps)
    for each in again:
        logger.warning("%s [%d] is read again from its beginning", *each)
        if each in cuts or same[each] is False:
            logger.warning("%s [%d] was cut or created again: what it lost before it was read is not known", *each)
    return again


def tell_gap(gap: Gap, command: str, *, accepted: bool) -> None:
    """Log a gap that is accepted.

    Raises:
        PositionExpired: it is not; the text names the command that records it.
    """
    if not accepted:
        raise PositionExpired(
            f"{gap}. To record them as missing and continue after them, run: matterlog {command} --accept-gaps",
            gap.topic,
        )
    logger.error("%s. They are recorded as missing", gap)


def read_database_only(connection: duckdb.DuckDBPyConnection) -> DatabaseOnly:
    """Read what only the log holds."""
    return DatabaseOnly(*connection.execute(SQL["database_only"]).fetchall()[0])


def read_gaps(connection: duckdb.DuckDBPyConnection) -> list[Gap]:
    """Read the offsets that the log never had, since they had expired before they were read."""
    rows = connection.execute(SQL["gaps"]).fetchall()
    return [Gap(topic=topic, partition=partition, first_missing=a, next_available=b) for topic, partition, a, b in rows]


def read_last_database_only(connection: duckdb.DuckDBPyConnection) -> tuple[UUID, int]:
    """Read which log this is, and a transaction by which it held all that only it holds."""
    ((log_id, last),) = connection.execute(SQL["last_database_only"]).fetchall()
    return log_id, last
