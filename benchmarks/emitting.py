"""Measurements of emitting, which also fill the topics that other measurements read."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import confluent_kafka
import pyarrow as pa

from benchmarks.setting import Result, Setting
from benchmarks.simulated import DAYS, UNTIL, Simulation, keys, payloads
from matterlog.producers import KafkaProducer, MatterViewProducer
from matterlog.producers.kafka import DEFAULTS, REQUIRED
from matterlog.schemas import MatterViewed, Topics
from matterlog.schemas.codec import newest_schema, schemas
from matterlog.schemas.columns import VIEW_FIELDS

# Prefixes of topics: ordinary views, a tenth as many, with deletions, with 1 % duplicates, with both schema versions
# mixed, with 0.1 % poison.
PLAIN, FEW, DELETED, DUPLICATES, MIXED, POISON = "plain-", "few-", "deleted-", "duplicates-", "mixed-", "poison-"
PREFIXES: Final = (PLAIN, FEW, DELETED, DUPLICATES, MIXED, POISON, "emitted-", "steady-")
_DUPLICATE_SHARE: Final = 0.01
_POISON_EVERY: Final = 1_000
_RATE: Final = 1_000

Messages = list[tuple[str, bytes]]


def fill(setting: Setting) -> Result:
    """Write all topics: the messages of ``emit()``, encoded many at once."""
    started = time.perf_counter()
    write_topic(setting, PLAIN, setting.count, list)
    write_topic(setting, FEW, setting.count // 10, list)
    write_topic(setting, DELETED, setting.count, list)
    write_topic(setting, DUPLICATES, setting.count, _with_duplicates)
    write_topic(setting, MIXED, setting.count, list, mixed=True)
    write_topic(setting, POISON, setting.count, _with_poison)
    return {"events": 5 * setting.count + setting.count // 10, "seconds": time.perf_counter() - started}


def _with_duplicates(messages: Messages) -> Messages:
    chance = random.Random(len(messages))  # noqa: S311 - the same duplicates each time
    return [again for one in messages for again in [one] * (1 + (chance.random() < _DUPLICATE_SHARE))]


def _with_poison(messages: Messages) -> Messages:
    """Spoil one message in a thousand: in turn, cut off its last byte or replace it by other bytes."""
    for index in range(0, len(messages), _POISON_EVERY):
        key, value = messages[index]
        messages[index] = (key, value[:-1] if index // _POISON_EVERY % 2 else b"poison")
    return messages


def write_topic(
    setting: Setting, prefix: str, count: int, change: Callable[[Messages], Messages], *, mixed: bool = False
) -> None:
    topic = Topics(prefix).matter_views.name
    settings = {**DEFAULTS, "linger.ms": "50", "queue.buffering.max.kbytes": "262144", **REQUIRED}
    producer = confluent_kafka.Producer({**settings, "bootstrap.servers": setting.broker})
    # After the rows of the existing table, like new views.
    for views in Simulation(count, UNTIL + DAYS).slices():
        times = [str(instant) for instant in views["matter_viewed_at"].to_pylist()]
        messages = list(zip(keys(views), _values(views, mixed=mixed), strict=True))
        for (key, value), instant in zip(change(messages), _repeat(times), strict=False):
            _produce(producer, topic, key, value, instant)
    producer.flush()


def _repeat(times: list[str]) -> Iterator[str]:
    while True:
        yield from times


def _values(views: pa.Table, *, mixed: bool) -> list[bytes]:
    newest = payloads(views, newest_schema(MatterViewed))
    if not mixed:
        return newest
    older = payloads(views, next(iter(schemas().values())))
    chance = random.Random(len(newest))  # noqa: S311 - the same mixture each time
    return [chance.choice(either) for either in zip(newest, older, strict=True)]


def _produce(producer: confluent_kafka.Producer, topic: str, key: str, value: bytes, instant: str) -> None:
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_specversion", "1.0"),
        ("ce_id", key),
        ("ce_type", "matterlog.MatterViewed"),
        ("ce_source", "matterlog"),
        ("ce_time", instant),
        ("content-type", "application/avro"),
    ]
    while True:
        try:
            producer.produce(topic, key=key, value=value, headers=headers)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _arguments(count: int) -> list[dict[str, object]]:
    """Return a web app's arguments of ``emit()``."""
    views = Simulation(count).views(0, count).to_pylist()
    return [
        {
            **{name: value for name, value in view.items() if name != "event_id"},
            "matter_viewed_at": view["matter_viewed_at"].replace(tzinfo=UTC),
        }
        for view in views
    ]


def emit(setting: Setting) -> Result:
    """Call emit() like a request handler, one call after another, and measure the caller's time for each.

    Any of 5,000 users opens any of 2,000 matters. None is more frequent, and names may need two bytes a letter.
    """
    events = [tuple(map(event.get, VIEW_FIELDS)) for event in _arguments(setting.emits)]
    took: list[float] = []
    large = {"queue.buffering.max.messages": "2000000", "queue.buffering.max.kbytes": "2000000"}
    with MatterViewProducer(KafkaProducer(setting.broker, settings=large), topic_prefix="emitted-") as producer:
        own = time.thread_time()
        _emit_each(producer, events, took)
        own = time.thread_time() - own
    took.sort()
    return {
        "events": len(took),
        "seconds": sum(took),
        "own_us": own / len(took) * 1e6,
        "p50_us": took[len(took) // 2] * 1e6,
        "p99_us": took[len(took) * 99 // 100] * 1e6,
    }


def _emit_each(producer: MatterViewProducer, events: Sequence[Sequence[Any]], took: list[float]) -> None:
    """Call emit() with literal keywords, as a web app does: unpacking a mapping would look up each name."""
    for (
        user_id, user_name, user_email, user_type, viewed_at, matter_id, matter_name, matter_type,
        company_id, company_name, office_id, office_name, location_name, location_iso2, *_,
    ) in events:  # fmt: skip
        started = time.perf_counter()
        producer.emit(
            user_id=user_id,
            user_name=user_name,
            user_email=user_email,
            user_type=user_type,
            matter_viewed_at=viewed_at,
            matter_id=matter_id,
            matter_name=matter_name,
            matter_type=matter_type,
            user_company_id=company_id,
            user_company_name=company_name,
            user_member_office_id=office_id,
            user_member_office_name=office_name,
            user_member_office_location_name=location_name,
            user_member_office_location_iso2=location_iso2,
        )
        took.append(time.perf_counter() - started)


def emit_steadily(setting: Setting) -> Result:
    """Emit 1,000 events a second, each with the current time."""
    events = _arguments(_RATE)
    total = _RATE * setting.seconds
    with MatterViewProducer(KafkaProducer(setting.broker), topic_prefix="steady-") as producer:
        started = time.perf_counter()
        for number in range(total):
            time.sleep(max(0.0, started + number / _RATE - time.perf_counter()))
            now = {"matter_viewed_at": datetime.now(UTC)}
            producer.emit(**{**events[number % _RATE], **now})  # type: ignore[arg-type]  # as above
    return {"events": total, "seconds": time.perf_counter() - started}


MEASURES: Final = {each.__name__: each for each in (fill, emit, emit_steadily)}
