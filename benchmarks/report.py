"""The report of the results in Markdown: the machine, the ratios with their goals, and every measurement."""

import os
import platform
import statistics
from importlib.metadata import version
from typing import Final

from benchmarks.setting import Result
from testbed.apache_kafka import KAFKA_VERSION

# The results of each measurement, one for each round.
Results = dict[str, list[Result]]

PACKAGES: Final = ("confluent-kafka", "duckdb", "fastavro", "pyarrow", "pyruhvro")
# Title, the two rates in events a second whose ratio is shown, and the least that it should be.
RATIOS: Final = (
    ("rows committed, duplicates checked / messages read and dropped", "consume", "drop", 0.5),
    ("the same / read and dropped with librdkafka's default settings", "consume", "drop_by_default", None),
    ("read and decoded / read and dropped", "decode", "drop", None),
    ("committed with pyruhvro / committed with fastavro alone", "consume", "consume_fastavro", 3),
    ("into a table that already has rows / into a new one", "consume_beside_rows", "consume", 0.85),
    ("with 1 % duplicates / without", "consume_duplicates", "consume", 0.7),
    ("with a deletion in every tenth batch / without", "consume_with_deletions", "consume", 0.7),
    ("both versions of the schema mixed / the newest", "consume_mixed", "consume", 0.7),
    ("with one message in a thousand poison / without", "consume_poison", "consume", 0.5),
    ("CSV extract / bare COPY", "export_csv", "copy_csv", 0.95),
    ("JSON extract / bare COPY", "export_json", "copy_json", 0.95),
    ("CSV extract / Python's csv module", "export_csv", "python_csv", None),
    ("time of a bare DELETE / time of the purge, one matter", "purge_1", "delete_1", 0.5),
    ("time of a bare DELETE / time of the purge, 100 matters", "purge_100", "delete_100", 0.5),
    ("the same, one matter, the first after a start", "purge_1_first", "delete_1_first", None),
    ("the same, 100 matters, the first after a start", "purge_100_first", "delete_100_first", None),
)
# Title, measurement, its figure, and the most that the figure should be.
FIGURES: Final = (
    ("`emit()` in the caller, p50, µs", "emit", "p50_us", None),
    ("`emit()` in the caller, p99, µs", "emit", "p99_us", 50),
    ("`emit()` in the caller, the thread's own CPU time, µs", "emit", "own_us", None),
    ("`emit()` to visible, 1,000 a second, p50, ms", "visible", "p50_ms", None),
    ("`emit()` to visible, 1,000 a second, p99, ms", "visible", "p99_ms", 1_000),
    ("a batch of 10,000 applied, p50, ms", "commit", "p50_ms", 50),
    ("a batch of 10,000 applied, worst, ms", "commit", "worst_ms", 250),
    ("peak memory of the consumer, behind by the whole topic, MB", "consume", "peak_mb", 500),
)
NOTES: Final = (
    "`drop` reads with the consumer's own settings, a thousand messages at once, which is the fastest. Like any plain "
    "loop, it has Python's default garbage collection. `consume_fastavro` reads a tenth of the topic. The bare COPY "
    "has the extract's columns, order and format of instants, but not its guard against formulas or its SHA-256. "
    "`python_csv` writes the first million rows. `purge` removes the rows and writes receipts and tombstones. Both it "
    "and the bare DELETE use one thread and follow three others of their kind. `_first` is the first one after a "
    "start, which reads the event IDs from the file."
)


def report(found: Results, settings: str) -> str:
    """Return the results as Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    heading = (
        f"`python -m benchmarks {settings}` on {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, Apache Kafka {KAFKA_VERSION} on the same machine, {versions}; load at the end "
        f"{load}. Each measurement has its own process. Medians of the rounds, spread from lowest to highest."
    )
    parts = [
        "# Results",
        heading,
        _table("ratio | median / median | goal, at least", [_ratio(found, *each) for each in RATIOS]),
        _table("figure | median | goal, at most", [_figure(found, *each) for each in FIGURES]),
        _table("measurement | events/s, median | spread | peak memory, MB", [_row(*each) for each in found.items()]),
        NOTES,
    ]
    return "\n\n".join(parts) + "\n"


def _table(heading: str, rows: list[str]) -> str:
    line = " | ".join(["---"] * (heading.count("|") + 1))
    return "\n".join(f"| {row} |" for row in (heading, line, *rows))


def _median(found: Results, name: str, key: str) -> float:
    return float(statistics.median(result[key] for result in found[name]))


def _rates(results: list[Result]) -> list[float]:
    return [result["events"] / result["seconds"] for result in results]


def _ratio(found: Results, title: str, one: str, other: str, goal: float | None) -> str:
    ratio = statistics.median(_rates(found[one])) / statistics.median(_rates(found[other]))
    return f"{title} | {ratio:.2f} | {goal or ''}"


def _figure(found: Results, title: str, name: str, key: str, goal: float | None) -> str:
    return f"{title} | {_median(found, name, key):,.1f} | {goal or ''}"


def _row(name: str, results: list[Result]) -> str:
    peak = max(result["peak_mb"] for result in results)
    if "seconds" not in results[0]:
        return f"{name} | | | {peak:,.0f}"
    rates = _rates(results)
    return f"{name} | {statistics.median(rates):,.1f} | {min(rates):,.1f} to {max(rates):,.1f} | {peak:,.0f}"
