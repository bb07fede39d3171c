"""Whether a backup and the topics hold all that a database holds, before something takes its place.

1. What takes its place reads on from its own positions: those of a backup, or the beginning. So each partition must
   hold its records from there on. Retention moves a partition's beginning, and so does an operator who cuts it.
2. Compaction moves no beginning: it removes records of deleted matters, and those that a later record replaces.
3. A topic that was made anew or cut does not hold what was read of it.
4. What the database never had is no loss: offsets that it recorded as missing, partitions that it never read, and
   whatever stands behind its positions. A topic that begins before missing offsets end is not the one that lacked them.
5. What no topic holds any more (table ``database_only``) must be in the backup, also where it cannot be read.
6. A damaged file may not tell its positions. Then it counts as having read everything, and the backup's positions say
   which topics were read; without a backup, the topics as they are have to begin at offset 0. A file that cannot be
   opened at all says nothing of rule 5 either.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

import duckdb

from matterlog.consumers.database.opening import connect
from matterlog.consumers.database.transaction import read_positions
from matterlog.consumers.errors import WouldLose
from matterlog.consumers.reading.records import Gap, Position, TopicPartition
from matterlog.consumers.recovery.backups import Backup
from matterlog.consumers.recovery.reread import DatabaseOnly, read_database_only, read_gaps, read_last_database_only
from matterlog.schemas import Topics
from matterlog.schemas.storage.damage import in_words
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.statements import load_statements, quoted

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "coverage.sql")
_NAMED: Final = 5
_Value = TypeVar("_Value")


class TopicsHeld(Protocol):
    """What the topics hold now, as ``KafkaSource`` finds it out. Its methods raise its errors."""

    topics: Topics

    def bounds(self) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset that each partition holds, and its end."""

    def compare(self, positions: Mapping[TopicPartition, Position]) -> dict[TopicPartition, bool | None]:
        """Say of each partition whether what was read of it is still there, None where nothing tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a database file says that it holds. None: that part of it cannot be read. ``opened``: it can be at all."""

    opened: bool = True
    positions: Mapping[TopicPartition, Position] | None = None
    gaps: Sequence[Gap] | None = None
    only: DatabaseOnly | None = None
    last_only: tuple[UUID, int] | None = None


class Missing(NamedTuple):
    """Offsets of a partition that would be lost, from the first up to the next that is there; None: to the end."""

    topic: str
    partition: int
    first: int
    next: int | None


def refuse_loss(paths: DatabaseFiles, backup: Backup | None, topics: TopicsHeld | None) -> None:
    """Refuse to replace a database by less than it holds.

    Args:
        paths: the database's files; the caller owns them, and has closed the database.
        backup: what would take its place; None for an empty database.
        topics: they fill it; None if no broker is set.

    Raises:
        WouldLose: something would be lost, or whether it would is not known; the error says what.
        BrokerUnavailable, TopicMissing: the topics do not say what they hold.
    """
    if not paths.database.exists():
        return
    with _read_only(paths, paths.database) as database:
        held = _held(database)
        _refuse_loss_of_database_only(paths, backup, held)
        kept = _kept(paths, backup)
        if _is_behind(held.positions, kept.positions):
            return
        if topics is None:
            raise WouldLose(
                "no broker is set, so whether the topics still have what the database holds is not known: give "
                "--bootstrap-servers. --accept-loss goes on without that"
            )
        if missing := _find_missing(held, kept, topics):
            raise WouldLose(_in_words(paths, backup, database, missing, topics.topics))


def _is_behind(held: Mapping[TopicPartition, Position] | None, kept: Mapping[TopicPartition, Position] | None) -> bool:
    """Whether a database has read nothing that is not in what takes its place."""
    if held is None or kept is None:
        return False
    behind = Position(next_offset=0)
    return all(position.next_offset <= kept.get(each, behind).next_offset for each, position in held.items())


def _find_missing(held: Held, kept: Held, topics: TopicsHeld) -> list[Missing]:
    bounds = topics.bounds()
    begins = {each: position.next_offset for each, position in (kept.positions or {}).items()}
    known = kept.positions if held.positions is None else held.positions
    same = topics.compare(known) if known else {}
    missing = []
    for each in sorted({*bounds, *begins, *(held.positions or {})}):
        first, reached = begins.get(each, 0), _reached(held, each)
        if reached is not None and reached <= first:
            continue
        low = bounds[each][0] if each in bounds and same.get(each) is not False else reached
        stop = low if reached is None or low is None else min(low, reached)
        for gap in (held.gaps if held.gaps is not None else kept.gaps) or ():
            is_of_it = (gap.topic, gap.partition) == each and (low is None or gap.next_available <= low)
            if is_of_it and gap.first_missing <= first:
                first = max(first, gap.next_available)
        if stop is None or first < stop:
            missing.append(Missing(*each, first, stop))
    return missing


def _reached(held: Held, partition: TopicPartition) -> int | None:
    """Return up to where a database has read a partition; None where it does not say."""
    if held.positions is None:
        return None
    position = held.positions.get(partition)
    return 0 if position is None else position.next_offset


def _kept(paths: DatabaseFiles, backup: Backup | None) -> Held:
    if backup is None:
        return Held(positions={}, gaps=())
    with _read_only(paths, backup.path) as connection:
        found = _held(connection)
    if found.positions is not None:
        return found
    # An older schema version knows less of a position.
    described = {(topic, partition): Position(next_offset=at) for topic, partition, at in backup.description.positions}
    return Held(positions=described, gaps=found.gaps)


@contextmanager
def _read_only(paths: DatabaseFiles, file: Path) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """Open a file to read it; None where it cannot be opened."""
    with connect(paths.spill, paths.memory_limit) as connection:
        try:
            connection.execute(f"ATTACH {quoted(file)} AS held (READ_ONLY); USE held")
        except duckdb.Error as error:
            logger.warning("%s cannot be read (%s)", file, in_words(error))
            yield None
        else:
            yield connection


def _held(connection: duckdb.DuckDBPyConnection | None) -> Held:
    if connection is None:
        return Held(opened=False)
    return Held(
        positions=_unless_damaged(lambda: read_positions(connection)),
        gaps=_unless_damaged(lambda: read_gaps(connection)),
        only=_unless_damaged(lambda: _only(connection)),
        last_only=_unless_damaged(lambda: read_last_database_only(connection)),
    )


def _unless_damaged(read: Callable[[], _Value]) -> _Value | None:
    with suppress(duckdb.Error):
        return read()
    return None


def _only(connection: duckdb.DuckDBPyConnection) -> DatabaseOnly:
    """Read what only the log holds; of an empty table there is no block that could be damaged."""
    if connection.execute(SQL["alone"]).fetchall() == [(False,)]:
        return DatabaseOnly(0, 0, 0, 0, 0)
    return read_database_only(connection)


def _refuse_loss_of_database_only(paths: DatabaseFiles, backup: Backup | None, held: Held) -> None:
    found = held.only
    if not held.opened or (found is not None and not any(found)) or _has_database_only(backup, held.last_only):
        return
    if found is None:
        raise WouldLose(
            f"{paths.database} holds something that no topic has any more, and it cannot be read what. --accept-loss "
            "goes on and loses it"
        )
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


def _has_database_only(backup: Backup | None, last_only: tuple[UUID, int] | None) -> bool:
    if backup is None or last_only is None:
        return False
    return backup.description.log_id == last_only[0] and backup.description.last_arrival >= last_only[1]


def _in_words(
    paths: DatabaseFiles,
    backup: Backup | None,
    database: duckdb.DuckDBPyConnection | None,
    missing: Sequence[Missing],
    topics: Topics,
) -> str:
    told = [_one_in_words(each, database, topics) for each in missing[:_NAMED]]
    if (more := len(missing) - _NAMED) > 0:
        told.append(f"and {more} more partitions")
    origin = f"neither backup {backup.name} nor the topics have" if backup else "the topics no longer have"
    return (
        f"{paths.database} holds what {origin}: {'; '.join(told)}. It stays as it is. Until you decide, nothing is "
        "read, purged or erased. Restore a newer backup that is kept elsewhere. Or, to lose these records, stop "
        f"consume and serve and run matterlog {'restore' if backup else 'rebuild'} --accept-loss"
    )


def _one_in_words(missing: Missing, database: duckdb.DuckDBPyConnection | None, topics: Topics) -> str:
    topic, partition, first, stop = missing
    offsets = f"{topic} [{partition}] from offset {first}" + ("" if stop is None else f" to {stop - 1}")
    is_deletions = topic == topics.matter_deletions.name
    table, what = ("purges", "deletions") if is_deletions else ("activity", "views")
    statement = SQL["events_between"].format(table=table)
    values: dict[str, Any] = {"partition": partition, "first": first, "next": 2**63 - 1 if stop is None else stop}
    counted = _unless_damaged(lambda: database.execute(statement, values).fetchall()) if database else None
    return f"{offsets} ({f'{counted[0][0]:,}' if counted else 'it cannot be read how many'} {what})"
