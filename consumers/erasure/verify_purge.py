"""Search for traces of a deleted matter in the database file, in the files beside it, and in the topics.

A place that could not be searched is never reported as clean.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

from matterlog.consumers.database.copies import run_step, run_step_of, sweep
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.verify_steps import FileSearch, holds
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.messages import UNREADABLE_HEADERS
from matterlog.consumers.reading.records import Record, TopicPartition
from matterlog.schemas.storage.scratch_folders import scratch_folder

_MODULE: Final = "matterlog.consumers.erasure.verify_steps"
_FETCH_RECORDS: Final = 10_000
_FETCH_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A deleted matter, and texts of it that only the operator knows any more, such as its name.

    Keys are looked at on the topic of views alone.
    """

    matter: str
    texts: tuple[str, ...] = ()
    views_topic: str = ""


def look_in_files(store: Store, search: Search) -> dict[str, Any]:
    """Search the database and the files beside it.

    Returns:
        ``found`` and ``unseen`` places in words, and how many ``files`` were searched.

    Raises:
        ErasureFailed: a step failed.
        StoreFailed: as in the store's ``apply``.
    """
    database, folder = str(store.paths.database), str(store.paths.verifying)
    stop = Event()
    private = (search.matter, *search.texts)
    with store.copying:
        sweep(store.paths.verifying)
        store.paths.verifying.mkdir(mode=0o700)
        try:
            with store.standstill():
                run_step("clone", folder, database, stop=stop)
            found: dict[str, Any] = run_step_of(_MODULE, "look", folder, database, stop=stop, private=private)
        finally:
            sweep(store.paths.verifying)
    return found


def look_in_others(search: Search, files: Sequence[str], folder: Path) -> dict[str, Any]:
    """Search other files with the rights of this process, as ``look_in_files`` does; ``folder`` is for copies."""
    with scratch_folder(folder) as scratch:
        searched = FileSearch(scratch, search.matter, search.texts)
        searched.others(map(Path, files))
    return asdict(searched.looked)


@dataclass(frozen=True, slots=True)
class _Places:
    """Records of each partition: how many, the first and the last offset. ``tell`` is called with each."""

    tell: Callable[[str], None]
    met: dict[TopicPartition, tuple[int, int, int]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        place = record.topic, record.partition
        count, first, _ = self.met.get(place, (0, record.offset, 0))
        self.met[place] = count + 1, first, record.offset
        self.tell(record.coordinates)

    def in_words(self) -> list[str]:
        return [
            f"{topic} [{partition}]: {count:,} records, offsets {first:,} to {last:,}"
            for (topic, partition), (count, first, last) in sorted(self.met.items())
        ]


def look_in_topics(
    source: KafkaSource,
    search: Search,
    on_found: Callable[[str], None] = lambda _: None,
    on_unseen: Callable[[str], None] = lambda _: None,
) -> tuple[list[str], list[str]]:
    """Read both topics through, to their ends of now.

    Args:
        source: reads the topics.
        search: what is looked for.
        on_found: called with the place of each record that is of the matter.
        on_unseen: called with the place of each record whose headers could not be looked at.

    Returns:
        For each partition the records that are of the matter, and what could not be looked at, in words.

    Raises:
        BrokerUnavailable, TopicMissing: the topics cannot be read.
    """
    begins = {(move.topic, move.partition): move.ends for _, move in source.start({})}
    if begins:
        source.start(begins)
    ends, reached = dict(source.ends_at_start), {each: position.next_offset for each, position in begins.items()}
    found, unseen = _Places(on_found), _Places(on_unseen)
    while any(reached.get(partition, 0) < end for partition, end in ends.items()):
        fetched = source.fetch(_FETCH_RECORDS, _FETCH_SECONDS)
        reached |= {(move.topic, move.partition): move.ends.next_offset for move in fetched.moves}
        for record in fetched.records:
            if _is_of(record, search):
                found.add(record)
            elif (UNREADABLE_HEADERS, None) in record.headers:
                unseen.add(record)
    return found.in_words(), [f"{place}: a header's name is not UTF-8" for place in unseen.in_words()]


def _is_of(record: Record, search: Search) -> bool:
    headers = [content for name, value in record.headers for content in (name.encode(), value)]
    # The key of a deletion is its matter's ID, and so is that of a tombstone on its topic.
    key = record.key if record.topic == search.views_topic else None
    contents = (record.value, key, *headers)
    return any(holds(content, search.matter, search.texts) for content in contents if content)
