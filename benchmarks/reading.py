"""Measurements of reading the topics: reading only, decoding, and storing in a database."""

import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import confluent_kafka

from benchmarks.emitting import DELETED, DUPLICATES, FEW, MIXED, PLAIN, POISON
from benchmarks.setting import Result, Setting, command
from benchmarks.simulated import make_firm
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.store import Store
from matterlog.consumers.materialise import Decoder, Materialiser, decoder
from matterlog.consumers.reading import client_settings
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.messages import Messages
from matterlog.consumers.reading.prefetch import PIECE_RECORDS, settle_memory
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.producers import KafkaProducer, MatterDeletionProducer
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles

OWN_SETTINGS: Final = {**client_settings.DEFAULTS, **client_settings.REQUIRED}
_DELETION_EVERY_BATCHES: Final = 10
_WARM_SECONDS: Final = 2.0
_LOOK_EVERY_SECONDS: Final = 0.005


def _read(setting: Setting, settings: dict[str, str], at_once: int, handle: Callable[[list[Any]], object]) -> Result:
    topic = Topics(PLAIN).matter_views.name
    client = confluent_kafka.Consumer({"bootstrap.servers": setting.broker, "group.id": "benchmark", **settings})
    partitions = client.list_topics(topic).topics[topic].partitions
    client.assign([confluent_kafka.TopicPartition(topic, partition, 0) for partition in partitions])
    events = ended = 0
    started = 0.0
    while ended < len(partitions):
        messages = client.consume(at_once, 0.2)
        started = started or (time.perf_counter() if messages else 0.0)
        ended += sum(message.error() is not None for message in messages)
        handle(messages)
        events += len(messages)
    seconds = time.perf_counter() - started
    client.close()
    return {"events": events - ended, "seconds": seconds}


def drop(setting: Setting) -> Result:
    """Read and drop messages with the consumer's settings, in the fastest batch size."""
    return _read(setting, OWN_SETTINGS, 1_000, len)


def drop_by_default(setting: Setting) -> Result:
    """Read and drop messages with librdkafka's default settings."""
    return _read(setting, {"enable.partition.eof": "true", "auto.offset.reset": "error"}, 1_000, len)


def decode(setting: Setting) -> Result:
    """Read and decode messages."""

    def handle(messages: list[Any]) -> None:
        good = [message for message in messages if message.error() is None]
        decode_records(Messages(good), Topics(PLAIN), {}, decode_views)

    return _read(setting, OWN_SETTINGS, PIECE_RECORDS, handle)


def _consume(
    setting: Setting,
    prefix: str,
    database: str = "new",
    chosen: Decoder = Decoder.PYRUHVRO,
    on_applied: Callable[[BatchResult], None] = lambda _: None,
) -> Result:
    began: list[float] = []
    settle_memory()
    paths = DatabaseFiles(setting.path(f"{database}.duckdb"))
    topics = Topics(prefix)
    with closing(KafkaSource(setting.broker, topics)) as source, Store(paths) as store:
        inner = decoder(topics, RegisteredSchemas(None), chosen)

        def decode_and_note(records: Any) -> Any:
            began.append(time.perf_counter())
            return inner(records)

        materialiser = Materialiser(source=source, store=store, decode=decode_and_note, on_applied=on_applied)
        applied = materialiser.run(threading.Event(), until_caught_up=True)
        seconds = time.perf_counter() - began[0]
    return {"events": applied.records, "seconds": seconds, "views": applied.views}


def _into_a_new_database(setting: Setting, prefix: str, chosen: Decoder = Decoder.PYRUHVRO) -> Result:
    for old in setting.path("").glob("new.duckdb*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    return _consume(setting, prefix, chosen=chosen)


def consume_beside_rows(setting: Setting) -> Result:
    """Consume as ``matterlog consume --until-caught-up`` does, into a database that already has rows."""
    shutil.copyfile(setting.path("prepared.duckdb"), setting.path("grown.duckdb"))
    return _consume(setting, PLAIN, "grown")


def consume_with_deletions(setting: Setting) -> Result:
    """Consume into a new database, with the deletion of a matter in every tenth batch."""
    for old in setting.path("").glob("new.duckdb*"):
        old.unlink()
    # New matters in each round: a deleted matter stays deleted, and all its later views are refused.
    matters = iter(random.SystemRandom().sample(make_firm().matters, 100))
    batches = 0
    with MatterDeletionProducer(KafkaProducer(setting.broker), topic_prefix=DELETED) as producer:

        def delete_now_and_then(_: BatchResult) -> None:
            nonlocal batches
            batches += 1
            if batches % _DELETION_EVERY_BATCHES == 1:
                producer.emit(matter_id=next(matters).matter_id, deleted_at=datetime.now(UTC))

        return _consume(setting, DELETED, on_applied=delete_now_and_then)


def visible(setting: Setting) -> Result:
    """Measure the time from emit() until a reader sees the row, at 1,000 events a second."""
    topics, stop = Topics("steady-"), threading.Event()
    paths = DatabaseFiles(setting.path("steady.duckdb"))
    with closing(KafkaSource(setting.broker, topics)) as source, Store(paths) as store:
        decode = decoder(topics, RegisteredSchemas(None))
        materialiser = Materialiser(source=source, store=store, decode=decode)
        consuming = threading.Thread(target=materialiser.run, args=(stop,))
        consuming.start()
        emitting = subprocess.Popen(command("emit_steadily", setting), stdout=subprocess.DEVNULL)
        waited = _watch(store, emitting)
        stop.set()
        consuming.join()
    waited.sort()
    return {
        "events": len(waited),
        "p50_ms": waited[len(waited) // 2] * 1e3,
        "p99_ms": waited[len(waited) * 99 // 100] * 1e3,
        "worst_ms": waited[-1] * 1e3,
    }


def _watch(store: Store, emitting: "subprocess.Popen[bytes]") -> list[float]:
    """Return the time of each event, without the first seconds and without events after the emitter's end."""
    query = "SELECT arrival, epoch_us(matter_viewed_at) FROM activity WHERE arrival > $last"
    waited: list[float] = []
    last, begun = 0, 0.0
    while emitting.poll() is None:
        with store.reader() as reader:
            rows = reader.execute(query, {"last": last}).fetchall()
        now = time.time()
        if rows:
            begun = begun or now
            last = max(arrival for arrival, _ in rows)
        if begun and now - begun > _WARM_SECONDS:
            waited += [now - micros / 1e6 for _, micros in rows]
        time.sleep(_LOOK_EVERY_SECONDS)
    return waited


_CONSUMING: Final = {
    "consume": partial(_into_a_new_database, prefix=PLAIN),
    "consume_fastavro": partial(_into_a_new_database, prefix=FEW, chosen=Decoder.FASTAVRO),
    "consume_duplicates": partial(_into_a_new_database, prefix=DUPLICATES),
    "consume_mixed": partial(_into_a_new_database, prefix=MIXED),
    "consume_poison": partial(_into_a_new_database, prefix=POISON),
}
MEASURES: Final[dict[str, Callable[[Setting], Result]]] = {
    **{each.__name__: each for each in (drop, drop_by_default, decode, visible)},
    **{each.__name__: each for each in (consume_beside_rows, consume_with_deletions)},
    **_CONSUMING,
}
