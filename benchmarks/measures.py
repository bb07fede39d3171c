"""One measurement a process: ``python -m benchmarks.measures NAME BROKER FOLDER COUNT`` prints a JSON object.

``events`` were handled in ``seconds``; ``peak_mb`` is the process's largest resident memory. The clock starts when the
first records are there, so that neither imports nor connecting count.
"""

import csv
import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Final

import confluent_kafka
import duckdb

from matterlog.app.firm import Firm
from matterlog.consumers import kafka
from matterlog.consumers.decode import decode_records
from matterlog.consumers.fast_decode import decode_views
from matterlog.consumers.kafka import KafkaSource
from matterlog.consumers.materialise import DEFAULT_BATCH_RECORDS, Decoder, Materialiser, decoder
from matterlog.consumers.schema_registry import RegisteredSchemas
from matterlog.consumers.store import Store
from matterlog.producers import BufferFull, KafkaProducer, MatterViewProducer
from matterlog.report.extracts import ExtractFormat, ExtractRequest, write_extract
from matterlog.schemas import MatterViewed, Topics
from matterlog.schemas.database_files import DatabaseFiles

TOPICS: Final = Topics()
UNTIL: Final = datetime(2026, 11, 1, tzinfo=UTC)


def views(count: int) -> Iterator[MatterViewed]:
    """A firm of 5,000 users and 2,000 matters."""
    return Firm.make(seed=1, matters=2_000, users=5_000).views(count, until=UNTIL)


def fill(broker: str, _folder: Path, count: int) -> dict[str, Any]:
    """Emit the views that the other measurements read."""
    with MatterViewProducer(KafkaProducer(broker, settings={"linger.ms": "50"})) as producer:
        started = time.perf_counter()
        for view in views(count):
            while True:
                try:
                    producer.emit_event(view)
                    break
                except BufferFull:
                    producer.flush(0.1)
        producer.flush()
    return {"events": count, "seconds": time.perf_counter() - started}


def emit(broker: str, _folder: Path, count: int) -> dict[str, Any]:
    """Call emit() without a pause: the time in the caller, each call apart, and the thread's own time for all."""
    events = [view.model_dump(exclude={"event_id"}) for view in views(count)]
    gc.freeze()  # what was prepared here is no web app's, and need not be searched for garbage
    took = []
    with MatterViewProducer(KafkaProducer(broker, settings={"queue.buffering.max.messages": "2000000"})) as producer:
        producer.emit(**events[0])
        producer.flush()
        cpu = time.thread_time()
        for event in events:
            started = time.perf_counter()
            producer.emit(**event)
            took.append(time.perf_counter() - started)
        cpu = time.thread_time() - cpu
    took.sort()
    places = {f"p{part:g}_us": took[int(count * part / 100)] * 1e6 for part in (50, 99, 99.9)}
    return {"events": count, "seconds": sum(took), "cpu_us": cpu / count * 1e6, **places}


def _read(broker: str, settings: dict[str, str], handle: Callable[[list[Any]], object]) -> dict[str, Any]:
    client = confluent_kafka.Consumer({"bootstrap.servers": broker, "group.id": "benchmark", **settings})
    places = client.list_topics(TOPICS.matter_views.name).topics[TOPICS.matter_views.name].partitions
    client.assign([confluent_kafka.TopicPartition(TOPICS.matter_views.name, place, 0) for place in places])
    events = ended = 0
    started = 0.0
    while ended < len(places):
        messages = client.consume(DEFAULT_BATCH_RECORDS, 0.2)
        started = started or (time.perf_counter() if messages else 0.0)
        ended += sum(message.error() is not None for message in messages)
        handle(messages)
        events += len(messages)
    seconds = time.perf_counter() - started
    client.close()
    return {"events": events - ended, "seconds": seconds}


def drop(broker: str, _folder: Path, _count: int) -> dict[str, Any]:
    """Read and throw away, with the consumer's own settings."""
    return _read(broker, {**kafka.DEFAULTS, **kafka.REQUIRED}, len)


def drop_by_default(broker: str, _folder: Path, _count: int) -> dict[str, Any]:
    """Read and throw away, with librdkafka's default settings."""
    return _read(broker, {"enable.partition.eof": "true", "auto.offset.reset": "error"}, len)


def decode(broker: str, _folder: Path, _count: int) -> dict[str, Any]:
    """Read and decode."""

    def handle(messages: list[Any]) -> None:
        good = [message for message in messages if message.error() is None]
        decode_records(kafka._Messages(good), TOPICS, {}, decode_views)  # noqa: SLF001 - the consumer's own hot path

    return _read(broker, {**kafka.DEFAULTS, **kafka.REQUIRED}, handle)


def _consume(broker: str, folder: Path, chosen: Decoder) -> dict[str, Any]:
    began: list[float] = []
    with (
        closing(KafkaSource(broker, TOPICS)) as source,
        Store(DatabaseFiles(folder / "log.duckdb"), memory_limit="1GB") as store,
    ):
        inner = decoder(TOPICS, RegisteredSchemas(None), chosen)

        def decode_and_note(records: Any) -> Any:
            began.append(time.perf_counter())
            return inner(records)

        applied = Materialiser(source=source, store=store, decode=decode_and_note).run(Event(), until_caught_up=True)
        return {"events": applied.views, "seconds": time.perf_counter() - began[0]}


def consume(broker: str, folder: Path, _count: int) -> dict[str, Any]:
    """What ``matterlog consume --until-caught-up`` does."""
    return _consume(broker, folder, Decoder.PYRUHVRO)


def consume_fastavro(broker: str, folder: Path, _count: int) -> dict[str, Any]:
    """The same with the reference decoder alone."""
    return _consume(broker, folder, Decoder.FASTAVRO)


def _export(folder: Path, write: Callable[[duckdb.DuckDBPyConnection], int]) -> dict[str, Any]:
    with Store(DatabaseFiles(folder / "log.duckdb"), memory_limit="1GB") as store, store.reader() as connection:
        started = time.perf_counter()
        rows = write(connection)
        return {"events": rows, "seconds": time.perf_counter() - started}


def _extract(folder: Path, written: ExtractFormat) -> dict[str, Any]:
    with (folder / f"extract.{written}").open("wb") as file:
        return _export(folder, lambda log: write_extract(log, ExtractRequest(format=written), file.write).rows)


def export_csv(_broker: str, folder: Path, _count: int) -> dict[str, Any]:
    """The CSV extract, guard against formulas included."""
    return _extract(folder, ExtractFormat.CSV)


def export_json(_broker: str, folder: Path, _count: int) -> dict[str, Any]:
    """The JSON extract."""
    return _extract(folder, ExtractFormat.JSON)


def _copy(folder: Path, options: str) -> dict[str, Any]:
    columns = "user_id, user_name, user_email, user_type, matter_viewed_at, matter_id, matter_name, matter_type"
    query = f"SELECT {columns} FROM activity ORDER BY activity.matter_viewed_at, activity.event_id"  # noqa: S608 - constants
    target = folder / "bare"
    return _export(folder, lambda log: int(log.execute(f"COPY ({query}) TO '{target}' ({options})").fetchall()[0][0]))


def copy_csv(_broker: str, folder: Path, _count: int) -> dict[str, Any]:
    """DuckDB's bare COPY of the same rows in the same order."""
    return _copy(folder, "FORMAT csv")


def copy_json(_broker: str, folder: Path, _count: int) -> dict[str, Any]:
    """DuckDB's bare COPY of the same rows in the same order."""
    return _copy(folder, "FORMAT json, ARRAY true")


def python_csv(_broker: str, folder: Path, _count: int) -> dict[str, Any]:
    """Python's csv module over the same rows."""

    def write(log: duckdb.DuckDBPyConnection) -> int:
        rows = 0
        found = log.execute("SELECT * FROM activity ORDER BY matter_viewed_at, event_id")
        with (folder / "python.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            while some := found.fetchmany(10_000):
                writer.writerows(row[1:9] for row in some)
                rows += len(some)
        return rows

    return _export(folder, write)


MEASURES: Final = {
    each.__name__: each
    for each in (
        fill, emit, drop, drop_by_default, decode, consume, consume_fastavro,
        export_csv, export_json, copy_csv, copy_json, python_csv,
    )
}  # fmt: skip


if __name__ == "__main__":
    name, broker_address, folder_name, how_many = sys.argv[1:]
    result = MEASURES[name](broker_address, Path(folder_name), int(how_many))
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))
