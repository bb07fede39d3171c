"""Measurements of extracts, purges and small commits in a database that already has rows."""

import csv
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Final

import duckdb
import pyarrow as pa

from benchmarks.setting import Result, Setting
from benchmarks.simulated import DAYS, SQL, UNTIL, Simulation, keys, payloads
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.records import Move, Position, Record
from matterlog.report.extracts.extracts import write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.schemas import MatterDeleted, MatterViewed, Topics, encode
from matterlog.schemas.codec import newest_schema
from matterlog.schemas.storage.database_files import DatabaseFiles

_TOPICS: Final = Topics()
_COMMITS: Final = 100
_COMMITTED_RECORDS: Final = 10_000
# The first purge after a start reads data that later ones find in memory.
_BEFORE: Final = 3
# Python's csv module would take minutes for all rows.
_PYTHON_CSV_ROWS: Final = 1_000_000
_INSTANT: Final = "TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%fZ'"


def prepare(setting: Setting) -> Result:
    """Create the database with existing rows, once for all measurements."""
    started = time.perf_counter()
    with Store(DatabaseFiles(setting.path("prepared.duckdb"))) as store, store.reader() as connection:
        for views in Simulation(setting.rows).slices():
            connection.register("incoming_views", views)
            connection.execute(SQL["insert"])
            connection.unregister("incoming_views")
        connection.execute("CHECKPOINT log")
    return {"events": setting.rows, "seconds": time.perf_counter() - started}


def _copied(setting: Setting) -> AbstractContextManager[Store]:
    shutil.copyfile(setting.path("prepared.duckdb"), setting.path("changed.duckdb"))
    return Store(DatabaseFiles(setting.path("changed.duckdb")))


def _export(setting: Setting, write: Callable[[duckdb.DuckDBPyConnection], int]) -> Result:
    with Store(DatabaseFiles(setting.path("prepared.duckdb"))) as store, store.reader() as connection:
        started = time.perf_counter()
        rows = write(connection)
        return {"events": rows, "seconds": time.perf_counter() - started}


def _extract(setting: Setting, written: str) -> Result:
    """Write the default extract, with its SHA-256 and, in CSV, the guard against formulas."""
    with setting.path("extract").open("wb") as file:
        return _export(setting, lambda log: write_extract(log, ExtractRequest(format=written), file.write).rows)


def _copy(setting: Setting, options: str) -> Result:
    """Run DuckDB's bare COPY of the same columns and rows, in the same order and format of instants."""
    statement = SQL["copy"].format(target=setting.path("extract"), options=options)
    return _export(setting, lambda log: int(log.execute(statement).fetchall()[0][0]))


def python_csv(setting: Setting) -> Result:
    """Write the first of these rows with Python's csv module."""

    def write(log: duckdb.DuckDBPyConnection) -> int:
        rows = 0
        found = log.execute(SQL["report"] + f" LIMIT {_PYTHON_CSV_ROWS}")
        with setting.path("extract").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            while some := found.fetchmany(10_000):
                writer.writerows(some)
                rows += len(some)
        return rows

    return _export(setting, write)


def _matters(store: Store, number: int, times: int) -> list[list[str]]:
    """Return ``times`` lists of ``number`` matters each, with about the median number of views."""
    with store.reader() as reader:
        found = reader.execute(SQL["middling_matters"], {"number": number * times}).fetchall()
    return [[matter for (matter,) in found[first::times]] for first in range(times)]


def _purge(setting: Setting, number: int, before: int) -> Result:
    """Purge ``number`` matters in one transaction, after ``before`` other purges, and measure only the last."""
    topic = _TOPICS.matter_deletions.name
    began = None
    with _copied(setting) as store:
        for matters in _matters(store, number, before + 1):
            ends = (began or 0) + number
            records = [_deletion(topic, *each) for each in zip(range(ends - number, ends), matters, strict=True)]
            decoded = decode_records(records, _TOPICS)
            move = Move(topic=topic, partition=0, began=began, ends=Position(next_offset=ends))
            started = time.perf_counter()
            applied = store.apply(decoded, [move])
            seconds = time.perf_counter() - started
            began = ends
    return {"events": number, "seconds": seconds, "views": applied.views_purged}


def _deletion(topic: str, offset: int, matter: str) -> Record:
    deletion = MatterDeleted(matter_id=matter, deleted_at=datetime.now(UTC))
    return Record(topic, 0, offset, None, matter.encode(), (), encode(deletion))


def _delete(setting: Setting, number: int, before: int) -> Result:
    """Run and commit a bare DELETE of the same rows, after ``before`` others, and measure only the last."""
    with _copied(setting) as store:
        found = _matters(store, number, before + 1)
        with store.reader() as connection:
            connection.execute("SET threads = 1")  # like the writer
            for matters in found:
                started = time.perf_counter()
                ((views,),) = connection.execute(SQL["delete"], {"matters": matters}).fetchall()
                seconds = time.perf_counter() - started
    return {"events": number, "seconds": seconds, "views": int(views)}


def records_of(views: pa.Table, offsets: Sequence[int]) -> list[Record]:
    """Return the records that would bring these views, in partition 0 at these offsets."""
    topic = _TOPICS.matter_views.name
    found = zip(offsets, keys(views), payloads(views, newest_schema(MatterViewed)), strict=True)
    return [Record(topic, 0, offset, None, key.encode(), (), value) for offset, key, value in found]


def commit(setting: Setting) -> Result:
    """Apply batches of 10,000 decoded views and measure each transaction."""
    total = _COMMITS * _COMMITTED_RECORDS
    simulation = Simulation(total, UNTIL + DAYS)
    took = []
    with _copied(setting) as store:
        began = None
        for first in range(0, total, _COMMITTED_RECORDS):
            last = first + _COMMITTED_RECORDS
            records = records_of(simulation.views(first, last), range(first, last))
            decoded = decode_records(records, _TOPICS, {}, decode_views)
            ends = Position(next_offset=last)
            move = Move(topic=_TOPICS.matter_views.name, partition=0, began=began, ends=ends)
            started = time.perf_counter()
            store.apply(decoded, [move])
            took.append(time.perf_counter() - started)
            began = last
    took.sort()
    return {"events": total, "seconds": sum(took), "p50_ms": took[_COMMITS // 2] * 1e3, "worst_ms": took[-1] * 1e3}


MEASURES: Final[dict[str, Callable[[Setting], Result]]] = {
    **{each.__name__: each for each in (prepare, python_csv, commit)},
    "export_csv": partial(_extract, written="csv"),
    "export_json": partial(_extract, written="json"),
    "copy_csv": partial(_copy, options=f"FORMAT csv, HEADER true, {_INSTANT}"),
    "copy_json": partial(_copy, options=f"FORMAT json, ARRAY true, {_INSTANT}"),
    "purge_1": partial(_purge, number=1, before=_BEFORE),
    "purge_100": partial(_purge, number=100, before=_BEFORE),
    "purge_1_first": partial(_purge, number=1, before=0),
    "purge_100_first": partial(_purge, number=100, before=0),
    "delete_1": partial(_delete, number=1, before=_BEFORE),
    "delete_100": partial(_delete, number=100, before=_BEFORE),
    "delete_1_first": partial(_delete, number=1, before=0),
    "delete_100_first": partial(_delete, number=100, before=0),
}
