"""Reading partitions again from their beginning, after their topic was cut and filled again.

1. The database keeps all that it holds. The table drops doubles; views of deleted matters are refused and buried
   again, since the topic may have lost their tombstones.
2. What the log holds of such a partition counts as *database-only* until its record comes again. What is left of that
   when the end is reached is in no topic any more: no rebuild would bring it back.
3. A partition of which nothing tells whether it was cut is read again with those that were.
4. It all stands in the database: after a crash ``consume`` goes on with it.
"""

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

import duckdb

from matterlog.consumers.database.opening import connect, quoted
from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import WouldLose
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.records import TopicPartition
from matterlog.consumers.recovery.backups import Backup
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
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
        """Say it in words."""
        return f"{self.views:,} views, {self.deletions:,} deletions and {self.dead_letters:,} dead letters"


def begin_reread(source: KafkaSource, store: Store, topics: Topics, *, every: bool) -> Sequence[TopicPartition]:
    """Set the positions of the partitions that have to be read again to their beginnings; return these partitions.

    Args:
        source: asks Kafka; nobody reads with it meanwhile.
        store: the log.
        topics: of the log.
        every: whether to read all partitions again, whatever Kafka says of them.

    Raises:
        BrokerUnavailable, TopicMissing, StoreFailed
    """
    positions, cuts = store.positions(), store.cuts()
    same = source.compare(positions)
    if not (every or cuts or False in same.values()):
        return []
    again = sorted({*cuts, *(partition for partition, is_same in same.items() if every or not is_same)})
    store.begin_rereads(again, source.bounds(), topics)
    for topic, partition in again:
        logger.warning("%s [%d] is read again from its beginning", topic, partition)
    return again


def read_database_only(connection: duckdb.DuckDBPyConnection) -> DatabaseOnly:
    """Read what only the log holds."""
    return DatabaseOnly(*connection.execute(SQL["database_only"]).fetchall()[0])


def refuse_loss(paths: DatabaseFiles, backup: Backup | None) -> None:
    """Refuse to replace a database that alone holds something; a file that cannot be read says nothing.

    Args:
        paths: the database's files; the caller owns them.
        backup: what would take its place; None for what the topics give.

    Raises:
        WouldLose: it would be lost; the error says what.
    """
    if not paths.database.exists():
        return
    try:
        with connect(paths.spill, paths.memory_limit) as connection:
            connection.execute(f"ATTACH {quoted(paths.database)} AS held (READ_ONLY); USE held")
            found = read_database_only(connection)
            ((log_id, last),) = connection.execute(SQL["last_database_only"]).fetchall()
    except duckdb.Error as error:
        logger.warning("what only %s holds is not known (%s)", paths.database, type(error).__name__)
        return
    if backup and backup.description.log_id == log_id and backup.description.last_arrival >= last:
        return
    if found.cut or found.rereading:
        raise WouldLose(
            "a topic was cut, and what only this database holds is not known yet: run matterlog reread first. "
            "--accept-loss goes on without that"
        )
    if found.views or found.deletions or found.dead_letters:
        raise WouldLose(
            f"{paths.database} alone holds {found}: the topics no longer have them, and they would be lost; what a "
            "lost deletion had removed would come back. --accept-loss goes on and loses them"
        )
