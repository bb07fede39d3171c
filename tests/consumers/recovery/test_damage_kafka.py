"""A bit that is flipped anywhere in the database ends in the log as it was, from a backup and the topics."""

import secrets
import shutil
from contextlib import closing, suppress
from pathlib import Path
from threading import Event as Signal
from typing import Any, Final

import pytest

from matterlog.consumers.database.store import Store
from matterlog.consumers.errors import BlockDamaged, WouldLose
from matterlog.consumers.materialise import Materialiser, decoder
from matterlog.consumers.recovery.backups import read_whole_file, take_backup
from matterlog.consumers.recovery.recovery import open_or_recover
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.budget import budget
from testbed.events import a_deletion, a_view
from tests.consumers.pipeline import Pipeline
from tests.topics_at_rest import cut, make_topics

pytestmark = [pytest.mark.broker, pytest.mark.faults]

HELD: Final = (
    "SELECT * EXCLUDE (arrival) FROM activity",
    "SELECT matter_id, event_id, kafka_partition, kafka_offset FROM purges",
    "SELECT * EXCLUDE (kept_at) FROM dead_letters",
    "SELECT topic, kafka_partition, next_offset FROM positions",
)
HEADERS: Final = (0, 100, 4096 + 20, 8192 + 20)
FIRST_BLOCK: Final = 12_288
BLOCK: Final = 262_144
# With the small budget every third place, in each run others.
EVERY: Final = budget(3, 1)


@pytest.fixture
def pipeline(kafka: str, topic_prefix: str, tmp_path: Path) -> Pipeline:
    """A pipeline with topics of one partition each, and views enough to fill blocks."""
    made = Pipeline(kafka, Topics(topic_prefix), tmp_path / "log.duckdb")
    make_topics(made.servers, made.topics)
    made.write(*(a_view(matter_id=f"m-{number % 50}") for number in range(4_000)))
    made.put(made.views, ("k", b"no event"))
    return made


def filled(pipeline: Pipeline, *, with_backup: bool) -> list[list[Any]]:
    """Fill the log, a matter of which is deleted, after its backup if there is one; what it holds."""
    pipeline.catch_up()
    if with_backup:
        with Store(DatabaseFiles(pipeline.database)) as store:
            take_backup(store, kept=1)
    pipeline.write(a_deletion(matter_id="m-3"), a_view(matter_id="m-3"), a_view(matter_id="m-4"))
    pipeline.catch_up()
    return [pipeline.rows(query) for query in HELD]


def flip(file: Path, place: int) -> None:
    """Flip one bit."""
    with file.open("r+b") as handle:
        handle.seek(place)
        [byte] = handle.read(1)
        handle.seek(place)
        handle.write(bytes([byte ^ 4]))


def owned_while_damaged(pipeline: Pipeline, place: int | None = None) -> bool:
    """Own the database, flip a bit beneath the owner, let it read the file and catch up; whether it was recovered."""
    paths = DatabaseFiles(pipeline.database)
    ask = lambda: closing(pipeline.source())  # noqa: E731
    with closing(pipeline.source()) as source, open_or_recover(lambda: Store(paths), paths, ask) as store:
        if place is not None:
            flip(paths.database, place)
        if not store.recovering:
            with suppress(BlockDamaged):  # nothing is in that block any more
                read_whole_file(store, Signal())
        loop = Materialiser(source=source, store=store, decode=decoder(pipeline.topics, pipeline.registered))
        loop.run(Signal(), until_caught_up=True)
        read_whole_file(store, Signal())
        with store.reader() as reader:
            return bool(reader.execute("FROM recoveries").fetchall())


@pytest.mark.parametrize("with_backup", [True, False])
def test_a_bit_flipped_anywhere_ends_in_the_log_as_it_was(
    pipeline: Pipeline, tmp_path: Path, *, with_backup: bool
) -> None:
    """In each header and each block, before the owner opens the file; nothing lost, doubled or come back."""
    held = filled(pipeline, with_backup=with_backup)
    whole = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-whole"))
    blocks = range(FIRST_BLOCK, pipeline.database.stat().st_size, BLOCK)
    recovered = []
    places = (*HEADERS, *(block + 5_000 for block in blocks))
    assert len(places) > 12
    for place in places[secrets.randbelow(EVERY) :: EVERY]:
        shutil.rmtree(tmp_path)
        shutil.copytree(whole, tmp_path)
        flip(pipeline.database, place)
        if owned_while_damaged(pipeline):
            recovered.append(place)
        assert [pipeline.rows(query) for query in HELD] == held, place
    assert len(recovered) >= (10 if EVERY == 1 else 1), recovered


def test_a_bit_flipped_beneath_the_owner_ends_in_the_log_as_it_was(pipeline: Pipeline) -> None:
    """In a block that it has read before, and has in its memory."""
    held = filled(pipeline, with_backup=True)
    places = range(FIRST_BLOCK + BLOCK + 5_000, pipeline.database.stat().st_size, BLOCK)
    assert owned_while_damaged(pipeline, places[0])
    assert [pipeline.rows(query) for query in HELD] == held


def test_a_damaged_log_that_alone_holds_something_stays_as_it_is(pipeline: Pipeline) -> None:
    """Retention took the first views from the topic, and there is no backup: nothing takes the file's place."""
    filled(pipeline, with_backup=False)
    cut(pipeline.servers, pipeline.views, 1_000)
    places = range(FIRST_BLOCK + BLOCK + 5_000, pipeline.database.stat().st_size, BLOCK)
    with pytest.raises(WouldLose, match=r"matter-views \[0\] from offset 0 to 999 \(.* views\)"):
        owned_while_damaged(pipeline, places[0])
    damaged = pipeline.database.read_bytes()
    with pytest.raises(WouldLose, match="rebuild --accept-loss"):
        owned_while_damaged(pipeline)
    assert pipeline.database.read_bytes() == damaged
    assert DatabaseFiles(pipeline.database).quarantined == []


def test_a_bit_flipped_in_the_write_ahead_log_ends_in_the_log_as_it_was(pipeline: Pipeline, tmp_path: Path) -> None:
    """The owner was killed. The log is refused and moved aside, or holds nothing at that place."""
    filled(pipeline, with_backup=False)
    pipeline.write(*(a_view(matter_id="m-4") for _ in range(300)), a_deletion(matter_id="m-5"))
    folder = tmp_path.with_name(f"{tmp_path.name}-killed")
    with closing(pipeline.source()) as source, Store(DatabaseFiles(pipeline.database)) as store:
        loop = Materialiser(source=source, store=store, decode=decoder(pipeline.topics, pipeline.registered))
        loop.run(Signal(), until_caught_up=True)
        shutil.copytree(tmp_path, folder)
    held = [pipeline.rows(query) for query in HELD]
    size = (folder / "log.duckdb.wal").stat().st_size
    places = range(size // 12, size, size // 6)
    for place in places[secrets.randbelow(EVERY) :: EVERY]:
        shutil.rmtree(tmp_path)
        shutil.copytree(folder, tmp_path)
        flip(DatabaseFiles(pipeline.database).wal, place)
        owned_while_damaged(pipeline)
        assert [pipeline.rows(query) for query in HELD] == held, place
