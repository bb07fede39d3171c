"""Logs for tests: real database files, filled through the store as the consumer does."""

from pathlib import Path
from typing import Any

from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.records import Move, Position, Record
from matterlog.report.engagement.engagement import read_engagement
from matterlog.report.engagement.engagement_files import EngagementFileRequest, write_engagement
from matterlog.report.extracts.copying import temporary_folder
from matterlog.report.extracts.extracts import Extract, write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.handing_out import finish_extract, recording
from matterlog.report.handover.register import Register, RegisterEntry
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas import Event, MatterViewed, Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import record_of

# Rows made inside DuckDB, for tests that need many: one a second, with IDs that rise.
MANY_ROWS = """
    INSERT INTO activity BY NAME
    SELECT format('018f0000-0000-8000-8000-{:012x}', i)::UUID AS event_id, 'u-' || i % 97 AS user_id,
        'User ' || i AS user_name, 'u@example.com' AS user_email, 'Guest' AS user_type,
        TIMESTAMP '2026-01-01' + to_seconds((i * 7919) % $rows) AS matter_viewed_at, 'm-' || i % 13 AS matter_id,
        'Project Heron' AS matter_name, 'live' AS matter_type, 0 AS kafka_partition, i AS kafka_offset, 1 AS arrival
    FROM range($rows) t(i)
"""


def apply(store: Store, *events: Event) -> None:
    """Apply events as one batch, behind what the store has read."""
    positions = store.positions()
    records: list[Record] = []
    moves = []
    for kind, topic in ((True, Topics().matter_views.name), (False, Topics().matter_deletions.name)):
        before = positions.get((topic, 0))
        first = 0 if before is None else before.next_offset
        own = [event for event in events if isinstance(event, MatterViewed) is kind]
        records += [record_of(event, 0, first + place) for place, event in enumerate(own)]
        ends = Position(next_offset=first + len(own))
        moves.append(Move(topic=topic, partition=0, began=None if before is None else first, ends=ends))
    store.apply(decode_records(records, Topics()), moves)


def a_log(folder: Path, *events: Event) -> DatabaseFiles:
    """A closed database in a folder, that holds these events."""
    paths = DatabaseFiles(folder / "log.duckdb")
    with Store(paths) as store:
        apply(store, *events)
    return paths


def a_big_log(folder: Path, rows: int) -> DatabaseFiles:
    """A closed database with so many rows, which did not come through Kafka."""
    paths = DatabaseFiles(folder / "log.duckdb")
    with Store(paths) as store:
        store._connection.execute(MANY_ROWS, {"rows": rows})
    return paths


class StoreSource:
    """The log as ``hand_out`` sees it, on a store of this process."""

    def __init__(self, store: Store, register: Register) -> None:
        self._store = store
        self._register = register

    def extract(
        self, request: ExtractRequest | EngagementFileRequest, sink: Any, begun: RegisterEntry | None = None
    ) -> Extract:
        """Write an extract's bytes into a sink, or a table's."""
        with self._store.reader() as connection:
            on_snapshot = recording(connection, self._register, begun)
            if isinstance(request, EngagementFileRequest):
                answer = read_engagement(connection, request.engagement, on_snapshot)
                return write_engagement(answer, request, sink, temporary_folder(connection))
            return write_extract(connection, request, sink, on_snapshot)

    def finish(self, entry: RegisterEntry, checked_arrival: int | None) -> tuple[str, ...]:
        """Record an extract before it appears."""
        with self._store.reader() as connection:
            return finish_extract(connection, self._register, entry, checked_arrival)

    def complete(self, entry: RegisterEntry) -> None:
        """Record that an extract which was begun is whole."""
        self._register.record(entry)


def extract_of(paths: DatabaseFiles, **request: Any) -> bytes:
    """The bytes of an extract."""
    chunks: list[bytes] = []
    with open_for_reading(paths) as connection:
        write_extract(connection, ExtractRequest(**request), chunks.append)
    return b"".join(chunks)
