"""The never-held twin: a file that held a matter is, once rewritten, like one that never did.

Two logs are made of the same records, the second without one matter's. What stands in the first file and not in the
second is what the matter left there: none of its windows of 32 bytes may be in the rewritten file. Searching for names
alone would be dishonest: compressed, they are not there even before.
"""

import random
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from matterlog.consumers.database import copies
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.reading.records import Record
from testbed.budget import budget
from testbed.erasing import Step, WatchedEraser
from testbed.events import NOON, a_deletion, a_view
from testbed.feed import Feed, files_in
from tests.consumers.erasure.test_erase import files_that_hold
from tests.consumers.processes import run_python

WINDOW: Final = 32
# Zeros with fewer other bytes among them are padding, beside a count or the first bytes of a block's checksum. Three
# bytes tell nothing of a matter.
SIGNIFICANT_BYTES: Final = 4
# As DuckDB writes the statistics of a column: field 100, rows drawn; field 101, rows.
ROWS_DRAWN: Final = re.compile(rb"(\x01d\x00)[\x80-\xff][\x00-\x7f](e\x00[\x80-\xff][\x00-\x7f]f\x00\x01)")
COMPRESSIONS: Final = [("auto", "auto"), ("uncompressed", "uncompressed"), ("zstd", "auto")]
MATTER: Final = "m-never"
BATCHES: Final = 4
VIEWS_A_BATCH: Final = 1_500
# The steps of a rewrite, with one compression and one thread, so that only the matter makes a difference.
STEPS: Final = """
import sys
from matterlog.consumers.database import erase_steps
from matterlog.consumers.database.opening import connect

def forced(spill, memory_limit):
    connection = connect(spill, memory_limit)
    connection.execute(f"SET force_compression = '{sys.argv[1]}'; SET threads = 1")
    return connection

erase_steps.connect = forced
erase_steps.run_as_step(erase_steps.STEPS, *sys.argv[3:])
"""
# What differs between the two without being of the matter: which log it is, the receipt's counts, and the keys that the
# sender of tombstones has sent by then.
ALIKE: Final = """
UPDATE log SET log_id = '00000000-0000-0000-0000-000000000000';
UPDATE purges SET views_purged = 0;
DELETE FROM tombstones;
"""
# Puts one of the two headers over the other and prints how many of the matter's rows come back, for both ways.
ROLL_BACK = """
import shutil, sys, duckdb
for source, target in ((4096, 8192), (8192, 4096)):
    copy = sys.argv[1] + ".rolled"
    shutil.copyfile(sys.argv[1], copy)
    with open(copy, "r+b") as file:
        file.seek(source)
        header = file.read(4096)
        file.seek(target)
        file.write(header)
    try:
        found = duckdb.connect(copy, read_only=True).execute(
            "SELECT count(*) FROM activity WHERE matter_id = ?", [sys.argv[2]]).fetchall()[0][0]
    except duckdb.Error:
        found = 0
    print(found)
"""


@dataclass(frozen=True)
class Files:
    """The file before it was rewritten, and after."""

    before: Path
    after: Path


def records(feed: Feed, batch: int) -> Iterator[Record]:
    """The records of a batch, always the same."""
    dice = random.Random(batch)  # noqa: S311 - repeatable, not secret
    for number in range(VIEWS_A_BATCH):
        user, gone = dice.randrange(300), number % 3 == 0
        yield feed.record(
            a_view(
                event_id=UUID(int=(batch << 100) + (0x7 << 76) + (0x8 << 60) + dice.getrandbits(60)),
                user_id=f"u-{user}" if not gone else f"u-gone-{user}",
                user_name=f"User Number {user}" if not gone else f"Gone User {dice.getrandbits(40)}",
                user_email=f"user.{user}@firm.example",
                matter_viewed_at=NOON.replace(second=number % 60),
                matter_id=MATTER if gone else f"m-{dice.randrange(40)}",
                matter_name=f"Project Never {dice.getrandbits(40)}" if gone else "Project Larch",
            )
        )


def make(folder: Path, compression: str, *, held: bool) -> Files:
    """A log that held the matter, or never did, then purged it, and was rewritten."""
    folder.mkdir()
    paths, before = files_in(folder), folder / "before"

    def keep_the_clone(step: Step) -> None:
        if step is Step.CLONED:
            shutil.copyfile(paths.erasing / "clone.duckdb", before)

    with Store(paths, clock=lambda: datetime(2026, 1, 1)) as store:  # noqa: DTZ001 - stored without a zone
        store._connection.execute(f"SET force_compression = '{compression}'; SET threads = 1")
        feed = Feed(store)
        for batch in range(1, BATCHES + 1):
            all_of_it = list(records(feed, batch))
            feed.apply(*(one for one in all_of_it if held or MATTER.encode() not in (one.value or b"")))
            with store.standstill():  # what is purged lies in blocks of its own time
                pass
        feed.apply(a_deletion(matter_id=MATTER, event_id=UUID(int=0x7 << 76 | 0x8 << 60)))
        store._connection.execute(ALIKE)
        WatchedEraser(store, reached=keep_the_clone).run(patience_seconds=0)
    return Files(before, paths.database)


def windows(file: Path) -> set[bytes]:
    """Every window of 32 bytes, but for how many rows DuckDB drew to estimate a column's distinct values.

    That number depends on how many rows lie in each vector, so on where rows were removed, and says nothing of them.
    """
    data = ROWS_DRAWN.sub(rb"\1??\2", file.read_bytes())
    found = {data[at : at + WINDOW] for at in range(len(data) - WINDOW + 1)}
    return {window for window in found if WINDOW - window.count(0) >= SIGNIFICANT_BYTES}


@pytest.mark.faults
@pytest.mark.parametrize(("compression", "of_the_rewrite"), COMPRESSIONS[: budget(2, 3)])
def test_a_rewritten_file_is_like_one_that_never_held_the_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str, of_the_rewrite: str
) -> None:
    """DuckDB pads with what its memory held before; memory that begins as zeros leaves nothing to chance."""
    monkeypatch.setenv("DUCKDB_JE_MALLOC_CONF", "zero:true")
    monkeypatch.setattr(copies, "_PYTHON", (sys.executable, "-c", STEPS, of_the_rewrite))
    dirty, twin = make(tmp_path / "dirty", compression, held=True), make(tmp_path / "twin", compression, held=False)
    of_the_matter = windows(dirty.before) - windows(twin.before) - windows(twin.after)
    survivors = of_the_matter & windows(dirty.after)
    assert len(of_the_matter) > 10_000, "the test cannot fail"
    assert not survivors, f"{len(survivors)} of {len(of_the_matter)} windows survive"


def test_an_older_header_brings_nothing_back(tmp_path: Path) -> None:
    """A DuckDB file has two headers; the older one still leads to what a purge removed."""
    files = make(tmp_path / "dirty", "auto", held=True)
    before, after = (run_python(ROLL_BACK, file, MATTER).split() for file in (files.before, files.after))
    assert any(int(found) for found in before), "the test cannot fail"
    assert after == ["0", "0"]


def test_what_was_inserted_and_rolled_back_is_erased_too(tmp_path: Path) -> None:
    """Large inserts write their blocks before the commit, and a rollback leaves them there."""
    paths, needle = files_in(tmp_path), b"Rolled Back Name"
    with Store(paths) as store:
        Feed(store).apply(a_view(matter_name="Project Larch"))
        store._connection.execute("SET force_compression = 'uncompressed'; BEGIN")
        store._connection.execute(
            "INSERT INTO activity SELECT activity.* REPLACE ('Rolled Back Name ' || i AS user_name) "
            "FROM activity, range(1_500_000) t(i)"
        )
        store._connection.execute("ROLLBACK")
        assert files_that_hold(tmp_path, needle), "the test cannot fail"
        Eraser(store).run(patience_seconds=0)
        assert not files_that_hold(tmp_path, needle)
