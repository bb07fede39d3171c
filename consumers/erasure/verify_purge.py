"""Search for traces of a deleted matter in the database file, in the files beside it, and in the topics.

A place that could not be searched is never reported as clean.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any, Final

from matterlog.consumers.database.copies import run_step, run_step_of, sweep
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.verify_steps import holds
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.records import Record

_MODULE: Final = "matterlog.consumers.erasure.verify_steps"
_FETCH_RECORDS: Final = 10_000
_FETCH_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A deleted matter, and texts that only the operator still knows, for example its name."""

    matter: str
    texts: tuple[str, ...] = ()


def look_in_files(store: Store, search: Search, also: Sequence[str]) -> dict[str, Any]:
    """Search the database, the files beside it, and the files named in ``also``.

    Returns:
        ``found`` and ``unseen`` places in words, and how many ``files`` were searched.

    Raises:
        ErasureFailed: a step failed.
        StoreFailed: as in the store's ``apply``.
    """
    database, folder = str(store.paths.database), str(store.paths.verifying)
    stop = Event()
    with _scratch(store):
        with store.standstill():
            run_step("clone", folder, database, stop=stop)
        texts, others = json.dumps(search.texts), json.dumps(list(also))
        found: dict[str, Any] = run_step_of(_MODULE, "look", folder, database, search.matter, texts, others, stop=stop)
    return found


@contextmanager
def _scratch(store: Store) -> Iterator[None]:
    """Make the folder for copies, keep all others from using it, and remove it afterwards."""
    with store.copying.awaited():
        sweep(store.paths.verifying)
        store.paths.verifying.mkdir(mode=0o700)
        try:
            yield
        finally:
            sweep(store.paths.verifying)


def look_in_topics(source: KafkaSource, search: Search) -> list[str]:
    """Read both topics to their current ends. Return the places of records that belong to the matter.

    Raises:
        BrokerUnavailable, TopicMissing: the topics cannot be read.
    """
    expired = source.start({})
    if expired.moves:
        source.start({(move.topic, move.partition): move.ends for move in expired.moves})
    ends, reached = dict(source.ends_at_start), {(m.topic, m.partition): m.ends.next_offset for m in expired.moves}
    found: list[str] = []
    while any(reached.get(partition, 0) < end for partition, end in ends.items()):
        fetched = source.fetch(_FETCH_RECORDS, _FETCH_SECONDS)
        reached |= {(move.topic, move.partition): move.ends.next_offset for move in fetched.moves}
        found += [f"record {record.coordinates}" for record in fetched.records if _is_of(record, search)]
    return found


def _is_of(record: Record, search: Search) -> bool:
    texts = [value for _, value in record.headers if value]
    return any(holds(content, search.matter, search.texts) for content in (record.value or b"", *texts) if content)
