"""``python -m benchmarks.erasure``: measure a rewrite of the database file and how long others wait for it.

One matter is purged from a log of ten million rows. During the rewrite one thread applies small batches and another
one runs short queries, both without a pause. The benchmark measures the longest wait of each and, for comparison, one
bare COPY FROM DATABASE of the same file. It writes the result to ``erasure.md``.
"""

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import duckdb
import typer

from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser, Rewrite
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_deletion, a_view
from testbed.feed import Feed

RESULTS: Final = Path(__file__).parent / "erasure.md"
MATTERS: Final = 2_000
# Like the platform's log: increasing IDs, recurring users and matters, names and e-mails of realistic length.
ROWS: Final = """
    INSERT INTO activity BY NAME
    SELECT format('018f0000-0000-7000-8{:03x}-{:012x}', hash(i) % 4096, i)::UUID AS event_id,
        'u-' || hash(i) % 40000 AS user_id, 'User Number ' || hash(i) % 40000 AS user_name,
        'user.' || hash(i) % 40000 || '@firm-' || hash(i) % 300 || '.example' AS user_email, 'Guest' AS user_type,
        TIMESTAMP '2026-01-01' + to_seconds(i) AS matter_viewed_at, 'm-' || hash(i + 1) % $matters AS matter_id,
        'Project ' || hash(i + 1) % $matters AS matter_name, 'live' AS matter_type, i % 6 AS kafka_partition,
        i AS kafka_offset, 1 + i // 50000 AS arrival
    FROM range($first, $end) t(i)
"""
COPY: Final = """
import sys, duckdb
connection = duckdb.connect(":memory:", config={"enable_progress_bar": "false"})
connection.execute(f"ATTACH '{sys.argv[1]}' AS held (READ_ONLY)")
connection.execute(f"ATTACH '{sys.argv[1]}.copy' AS copy (STORAGE_VERSION 'v1.5.0')")
connection.execute("COPY FROM DATABASE held TO copy")
connection.execute("CHECKPOINT copy")
"""


def fill(store: Store, rows: int) -> None:
    """Insert rows inside DuckDB, a million in each transaction."""
    for first in range(0, rows, 1_000_000):
        values = {"matters": MATTERS, "first": first, "end": min(rows, first + 1_000_000)}
        store._connection.execute(ROWS, values)  # noqa: SLF001 - as the tests do
    store._connection.execute("DELETE FROM log RETURNING *")  # noqa: SLF001 - moves the arrival number past the rows
    store._connection.execute("INSERT INTO log VALUES (uuid(), $last)", {"last": rows})  # noqa: SLF001


@contextmanager
def waits(action: Callable[[], object]) -> Iterator[list[float]]:
    """Repeat an action in a thread and yield the list of its times in seconds."""
    found: list[float] = []
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            began = time.monotonic()
            action()
            found.append(time.monotonic() - began)
            stop.wait(0.02)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def query(store: Store) -> None:
    """Run a short query, like the one of ``matterlog status``."""
    with store.reader() as reader:
        reader.execute("SELECT count(*) FROM activity WHERE matter_id = 'm-7'").fetchall()


def run(rows: Annotated[int, typer.Option(min=1_000, help="Number of rows in the log.")] = 10_000_000) -> None:
    """Measure a rewrite and write benchmarks/erasure.md."""
    with tempfile.TemporaryDirectory() as folder:
        paths = DatabaseFiles(Path(folder) / "log.duckdb")
        with Store(paths) as store:
            fill(store, rows)
            feed = Feed(store)
            feed.apply(a_deletion(matter_id="m-5"))
            with (
                waits(lambda: feed.apply(*(a_view() for _ in range(100)))) as writing,
                waits(lambda: query(store)) as reading,
            ):
                time.sleep(5)
                usual = (max(writing), max(reading))
                writing.clear()
                reading.clear()
                rewrite = Eraser(store).run(patience_seconds=60)
                paused = (max(writing), max(reading))
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", COPY, str(paths.database)], check=True)
        bare = time.monotonic() - began
    text = report(rows, rewrite, usual, paused, bare)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def report(rows: int, rewrite: Rewrite, usual: tuple[float, float], paused: tuple[float, float], bare: float) -> str:
    """Return the result as Markdown."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    setting = (
        f"`python -m benchmarks.erasure --rows {rows}` on {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, DuckDB {duckdb.__version__}; load at the end {load}. One run."
    )
    lines = [
        "# What a rewrite costs",
        "",
        setting,
        "",
        "| measurement | |",
        "| --- | --- |",
        f"| the whole rewrite | {rewrite.seconds:.1f} s |",
        f"| one bare COPY FROM DATABASE of the same file, in a separate process | {bare:.1f} s |",
        f"| the file before and after | {rewrite.bytes_before / 1e6:,.0f} MB, {rewrite.bytes_after / 1e6:,.0f} MB |",
        f"| longest pause of the writer, measured by the rewrite | {rewrite.writer_paused_seconds:.1f} s |",
        f"| longest pause of the readers, measured by the rewrite | {rewrite.readers_paused_seconds:.2f} s |",
        f"| longest batch of 100 views: while the file was rewritten, before | {paused[0]:.2f} s, {usual[0]:.2f} s |",
        f"| longest short query: while the file was rewritten, before | {paused[1]:.2f} s, {usual[1]:.2f} s |",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(run)
