"""``python -m benchmarks.lake``: the lake store beside the file store, in one run, without a broker.

Both logs are filled with the same prepared batches, in turn, each in a process of its own; then both are written as CSV
in turn. So a noisy neighbour hits both, and the results are ratios of medians. At last 1,000 views a second are applied
to the lake while another process looks for them. PostgreSQL runs on the same machine; what it takes is told apart.
"""

import itertools
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Annotated, Any, Final
from unittest.mock import patch

import duckdb
import typer

from benchmarks.simulated import Simulation
from benchmarks.writing import records_of
from matterlog.app.owner.owned_store import lake_store, owned_store
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.lake.commit_lock import CommitLock
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.records import Move, Position
from matterlog.report.extracts.extracts import write_extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.lake_register import make_register
from matterlog.report.log.reader import open_for_reading, open_lake_for_reading
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake
from testbed.embedded_postgresql import EmbeddedPostgreSQL

RESULTS: Final = Path(__file__).parent / "lake.md"
BATCH_ROWS: Final = 50_000
VIEWS_A_SECOND: Final = 1_000
# A batch of the consumer holds what came within this time.
BATCH_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 0.05
_TOPICS: Final = Topics()
_PROCESSES: Final = multiprocessing.get_context("spawn")
_NEW: Final = "SELECT count(*), max(arrival) FROM activity WHERE arrival > $arrival"

Place = DatabaseFiles | Lake


@dataclass(frozen=True, slots=True)
class Filled:
    """What applying some batches took: CPU seconds of the process and of PostgreSQL, and times under the lock."""

    rows: int
    seconds: float
    cpu_seconds: float
    locked_seconds: Sequence[float]
    postgresql_seconds: float = 0.0

    @property
    def rows_a_cpu_second(self) -> float:
        """The figure that is compared."""
        return self.rows / self.cpu_seconds


def run(
    rows: Annotated[int, typer.Option(min=BATCH_ROWS, help="Rows in each log.")] = 10_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds for each measurement.")] = 4,
    seconds: Annotated[int, typer.Option(min=5, help="How long to apply 1,000 views a second.")] = 60,
) -> None:
    """Measure both stores and write benchmarks/lake.md.

    Example: python -m benchmarks.lake --rows 1000000 --rounds 2 --seconds 20
    """
    rows -= rows % BATCH_ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL may have to run as another user
        with EmbeddedPostgreSQL(folder / "postgresql") as server:
            file, lake = DatabaseFiles(folder / "log.duckdb"), _new_lake(folder, server)
            postmaster = int((folder / "postgresql/data/postmaster.pid").read_text(encoding="ascii").split()[0])
            filled: dict[str, list[Filled]] = {"file": [], "lake": []}
            exported: dict[str, list[float]] = {"file": [], "lake": []}
            for first, last in _shares(rows, rounds):
                filled["file"].append(_in_a_process(_fill, file, rows, first, last, None))
                filled["lake"].append(_in_a_process(_fill, lake, rows, first, last, postmaster))
                print(f"filled to {last:,}, load {os.getloadavg()[0]:.1f}", flush=True)
            for _ in range(rounds):
                exported["file"].append(_in_a_process(_export, file, folder))
                exported["lake"].append(_in_a_process(_export, lake, folder))
            late = _visible(lake, rows, seconds)
    text = report(filled, exported, late, f"--rows {rows} --rounds {rounds} --seconds {seconds}")
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def _new_lake(folder: Path, server: EmbeddedPostgreSQL) -> Lake:
    spill = folder / "spill"
    spill.mkdir()
    lake = Lake(catalogue=server.make_database("lake"), data=f"{folder}/files/", spill=spill)
    with closing(lake.connect(create=True)) as connection:
        make_tables(connection)
    make_register(lake)
    return lake


def _shares(rows: int, rounds: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last number of each round's views, in whole batches."""
    batches = rows // BATCH_ROWS
    edges = [batches * number // rounds * BATCH_ROWS for number in range(rounds + 1)]
    return itertools.pairwise(edges)


def _opened(place: Place) -> Any:
    return lake_store(place) if isinstance(place, Lake) else owned_store(place, None)


def _in_a_process(work: Callable[..., Any], *arguments: Any) -> Any:
    with _PROCESSES.Pool(1) as pool:
        return pool.apply(work, arguments)


def _fill(place: Place, total: int, first: int, last: int, postmaster: int | None) -> Filled:
    """Apply the views from number ``first`` up to ``last`` of ``total``, and measure only that."""
    locked: list[float] = []
    simulation = Simulation(total)
    seconds = cpu_seconds = postgresql_seconds = 0.0
    with _timed_locks(locked), _opened(place) as store:
        for begins in range(first, last, BATCH_ROWS):
            apply = _prepared(store, simulation, begins, min(begins + BATCH_ROWS, last))
            of_server = _cpu_seconds(postmaster)
            began, cpu = time.perf_counter(), time.process_time()
            apply()
            seconds += time.perf_counter() - began
            cpu_seconds += time.process_time() - cpu
            postgresql_seconds += _cpu_seconds(postmaster) - of_server
    return Filled(last - first, seconds, cpu_seconds, locked, postgresql_seconds)


def _prepared(store: LogStore, simulation: Simulation, begins: int, ends: int) -> Callable[[], object]:
    records = records_of(simulation.views(begins, ends), range(begins, ends))
    decoded = decode_records(records, _TOPICS, {}, decode_views)
    topic = _TOPICS.matter_views.name
    move = Move(topic=topic, partition=0, began=begins or None, ends=Position(next_offset=ends))
    return lambda: store.apply(decoded, [move])


@contextmanager
def _timed_locks(found: list[float]) -> Iterator[None]:
    """Add to the list how long the lake's lock was held, each time."""
    held = CommitLock.held

    @contextmanager
    def timed(lock: CommitLock) -> Iterator[None]:
        with held(lock):
            began = time.perf_counter()
            try:
                yield
            finally:
                found.append(time.perf_counter() - began)

    with patch.object(CommitLock, "held", timed):
        yield


def _cpu_seconds(process: int | None) -> float:
    """Return the CPU seconds of a process and its children, those that ended too."""
    if process is None:
        return 0.0
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    times = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:15]
    own = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return own + sum(_cpu_seconds(int(child)) for child in children)


def _export(place: Place, folder: Path) -> float:
    """Write the default extract as CSV. Return the seconds."""
    opened = open_lake_for_reading(place) if isinstance(place, Lake) else open_for_reading(place)
    with opened as connection, (folder / "extract").open("wb") as file:
        began = time.perf_counter()
        write_extract(connection, ExtractRequest(format="csv"), file.write)
        return time.perf_counter() - began


def _visible(lake: Lake, first: int, seconds: int) -> list[float]:
    """Return how late a reader in another process saw each view, from when it was emitted."""
    began, results = _PROCESSES.Value("d", 0.0), _PROCESSES.SimpleQueue()
    last = first + seconds * VIEWS_A_SECOND
    simulation = Simulation(last)
    with _opened(lake) as store:
        watcher = _PROCESSES.Process(target=_watch, args=(lake, last - first, began, results), daemon=True)
        watcher.start()
        results.get()  # it looks
        began.value = time.time()
        while first < last:
            time.sleep(BATCH_SECONDS)
            emitted = min(last - seconds * VIEWS_A_SECOND + int((time.time() - began.value) * VIEWS_A_SECOND), last)
            _prepared(store, simulation, first, emitted)()
            first = emitted
    late: list[float] = results.get()
    watcher.join()
    return late


def _watch(lake: Lake, count: int, began: "Synchronized[float]", results: Any) -> None:
    """Look for views in the lake, as long as they come. Put how late each was seen."""
    late: list[float] = []
    with open_lake_for_reading(lake) as connection:
        ((arrival,),) = connection.execute("SELECT last_arrival FROM log").fetchall()
        results.put(None)
        while len(late) < count:
            seen, newest = connection.execute(_NEW, {"arrival": arrival}).fetchall()[0]
            now = time.time() - began.value
            late += [now - number / VIEWS_A_SECOND for number in range(len(late), len(late) + seen)]
            arrival = newest or arrival
            time.sleep(_LOOK_SECONDS)
    results.put(late)


def report(
    filled: dict[str, list[Filled]], exported: dict[str, list[float]], late: Sequence[float], settings: str
) -> str:
    """Return the results as Markdown."""
    rows = sum(each.rows for each in filled["lake"])
    rates = {store: statistics.median(each.rows_a_cpu_second for each in found) for store, found in filled.items()}
    speeds = {store: statistics.median(each.rows / each.seconds for each in found) for store, found in filled.items()}
    csv = {store: rows / statistics.median(found) for store, found in exported.items()}
    locked = statistics.median(each for found in filled["lake"] for each in found.locked_seconds) * 1e3
    server = statistics.median(each.postgresql_seconds / (each.rows / BATCH_ROWS) for each in filled["lake"]) * 1e3
    p50, p99 = (statistics.quantiles(late, n=100)[each] for each in (49, 98))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    ratio = "| {} | {:,.0f} | {:,.0f} | {:.2f} |".format
    setting = (
        f"`python -m benchmarks.lake {settings}` on {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, DuckDB {duckdb.__version__}, PostgreSQL and files (encrypted) on the same "
        f"machine; load at the end {load}. Batches of {BATCH_ROWS:,} rows, one consumer, medians."
    )
    visible = (
        f"from emitting to a reader in another process at {VIEWS_A_SECOND:,}/s, p50 and p99 in ms (p99 below 3,000)"
    )
    lines = [
        "# The lake store beside the file store",
        "",
        setting,
        "",
        "| measurement (goal) | file | lake | lake / file |",
        "| --- | --- | --- | --- |",
        ratio("rows a CPU-second of the consumer (0.8)", rates["file"], rates["lake"], rates["lake"] / rates["file"]),
        ratio("rows a second", speeds["file"], speeds["lake"], speeds["lake"] / speeds["file"]),
        ratio("rows a second as CSV of everything (0.8)", csv["file"], csv["lake"], csv["lake"] / csv["file"]),
        f"| under the lock for a batch, in ms (130) | | {locked:.0f} | |",
        f"| CPU time of PostgreSQL for a batch, in ms | | {server:.0f} | |",
        f"| {visible} | | {p50 * 1e3:,.0f}, {p99 * 1e3:,.0f} | |",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(run)
