"""``python -m benchmarks.engagement``: measure how long the analyses of engagement take on a large log.

The log has the views of a year, of a firm of 20,000 users and 10,000 matters. Each analysis is asked about the last 30
days and about all time, each in a process of its own. CPU seconds are those of that process, with all its threads. The
result is written to ``engagement.md``.
"""

import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import duckdb
import typer

from benchmarks.simulated import SQL, UNTIL, Simulation
from matterlog.app.demo.firm import Firm
from matterlog.consumers.database.store import Store
from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.engagement.engagement import EngagementRequest, read_engagement
from matterlog.report.engagement.engagement_period import Bucket
from matterlog.report.log.filters import ALL_TIME, ENGAGEMENT_PERIOD, Filter
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas.storage.database_files import DatabaseFiles

RESULTS: Final = Path(__file__).parent / "engagement.md"
# The most seconds that an answer should take at ten million views.
GOALS: Final = {ENGAGEMENT_PERIOD: 0.5, ALL_TIME: 1.5}
_ZONE: Final = "Europe/London"
_NOW: Final = UNTIL - timedelta(hours=9)
_PROCESSES: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one answer took."""

    seconds: float
    cpu_seconds: float


def run(
    rows: Annotated[int, typer.Option(min=1_000, help="Number of views in the log.")] = 10_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds for each question.")] = 3,
) -> None:
    """Measure the analyses and write benchmarks/engagement.md.

    Example: python -m benchmarks.engagement --rows 1000000 --rounds 1
    """
    found: dict[tuple[str, str], list[Taken]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = DatabaseFiles(Path(folder, "log.duckdb"))
        _fill(paths, rows)
        for _ in range(rounds):
            for question in [(name, period) for name in ANALYSES for period in GOALS]:
                with _PROCESSES.Pool(1) as pool:
                    found.setdefault(question, []).append(pool.apply(_ask, (paths, *question)))
                print(*question, found[question][-1], f"load {os.getloadavg()[0]:.1f}", flush=True)
    text = report(found, f"--rows {rows} --rounds {rounds}")
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def _firm() -> Firm:
    """Return a firm whose busiest matter has a hundredth of all views."""
    firm = Firm.make(seed=1, matters=10_000, users=20_000)
    return replace(firm, seats=tuple(replace(seat, weight=seat.weight**0.5) for seat in firm.seats))


def _fill(paths: DatabaseFiles, rows: int) -> None:
    simulation = Simulation(rows, firm=_firm(), lasts=timedelta(days=365))
    with Store(paths) as store, store.reader() as connection:
        for views in simulation.slices():
            connection.register("incoming_views", views)
            connection.execute(SQL["insert"])
            connection.unregister("incoming_views")
        connection.execute("CHECKPOINT log")


def _ask(paths: DatabaseFiles, analysis: str, last: str) -> Taken:
    """Ask once for the file's pages to be in memory, as they are in a service, and measure the second time."""
    period = Filter.of(now=_NOW, last=last, zone=ZoneInfo(_ZONE))
    # Not one row for each matter and day of a year, which would be refused.
    request = EngagementRequest(analysis=analysis, now=_NOW, filter=period, timezone=_ZONE, by=Bucket.MONTH)
    with open_for_reading(paths) as connection:
        read_engagement(connection, request)
        began, cpu = time.perf_counter(), time.process_time()
        read_engagement(connection, request)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return Taken(seconds, cpu_seconds)


def report(found: dict[tuple[str, str], list[Taken]], settings: str) -> str:
    """Return the result as Markdown."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    setting = (
        f"`python -m benchmarks.engagement {settings}` on {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, DuckDB {duckdb.__version__}; load at the end {load}. Medians, lowest "
        "to highest in brackets. On a quiet machine the seconds are at least the CPU seconds divided by the cores."
    )
    lines = [
        "# Engagement on a large log",
        "",
        setting,
        "",
        "| analysis | period | seconds | goal at 10 million views | CPU seconds |",
        "| --- | --- | --- | --- | --- |",
        *(_row(*question, taken) for question, taken in found.items()),
        "",
    ]
    return "\n".join(lines)


def _row(analysis: str, period: str, taken: Sequence[Taken]) -> str:
    seconds, cpu = _spread([each.seconds for each in taken]), _spread([each.cpu_seconds for each in taken])
    return f"| {analysis} | {period} | {seconds} | {GOALS[period]} | {cpu} |"


def _spread(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    typer.run(run)
