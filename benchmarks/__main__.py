"""``make bench``: fill a topic of a real Apache Kafka, measure each way in turn, write ``results.md``.

The ways alternate within a round, so that a noisy neighbour hits all of them; what counts is the ratio of medians.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from matterlog.app.topics_admin import TopicAdmin
from matterlog.schemas import Topics
from tests.apache_kafka import KAFKA_VERSION, LocalKafka

RESULTS: Final = Path(__file__).parent / "results.md"
PACKAGES: Final = ("confluent-kafka", "duckdb", "fastavro", "pyarrow", "pyruhvro")
READING: Final = ("drop", "drop_by_default", "decode", "consume", "consume_fastavro")
WRITING: Final = ("export_csv", "copy_csv", "export_json", "copy_json", "python_csv")
RATIOS: Final = (
    ("rows committed, duplicates checked / messages read and dropped", "consume", "drop"),
    ("the same / read and dropped with librdkafka's default settings", "consume", "drop_by_default"),
    ("read and decoded / read and dropped", "decode", "drop"),
    ("committed with pyruhvro / committed with fastavro", "consume", "consume_fastavro"),
    ("CSV extract / bare COPY", "export_csv", "copy_csv"),
    ("JSON extract / bare COPY", "export_json", "copy_json"),
    ("CSV extract / Python's csv module", "export_csv", "python_csv"),
)


def measure(name: str, broker: str, folder: Path, count: int) -> dict[str, Any]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.measures", name, broker, str(folder), str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    print(f"{name:18s} {result['events'] / result['seconds']:12,.0f}/s  {result['peak_mb']:6.0f} MB", flush=True)
    return result


def run(
    count: Annotated[int, typer.Option(min=1_000, help="Events in the topic.")] = 2_000_000,
    emits: Annotated[int, typer.Option(min=100, help="Calls of emit().")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each way is measured.")] = 3,
) -> None:
    """Measure, and write benchmarks/results.md."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("emit", *READING, *WRITING)}
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        with LocalKafka(folder / "kafka") as kafka:
            broker = kafka.bootstrap_servers
            TopicAdmin(broker, {}).create(Topics(), 6, 1)
            measure("fill", broker, folder, count)
            for _ in range(rounds):
                for name in (*READING, *WRITING):
                    if name.startswith("consume"):
                        clear(folder)
                    found[name].append(measure(name, broker, folder, count))
            for _ in range(rounds):
                found["emit"].append(measure("emit", broker, folder, emits))
    RESULTS.write_text(report(found, count, rounds), encoding="utf-8")
    print(f"written to {RESULTS}")


def clear(folder: Path) -> None:
    """Remove the database of the measurement before."""
    for old in folder.glob("log.duckdb*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def rate(results: list[dict[str, Any]]) -> list[float]:
    """Return each round's events a second."""
    return [result["events"] / result["seconds"] for result in results]


def report(found: dict[str, list[dict[str, Any]]], count: int, rounds: int) -> str:
    """Write the results as Markdown."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    setting = (
        f"`python -m benchmarks --count {count} --rounds {rounds}` on {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, Apache Kafka {KAFKA_VERSION} on the same machine, {versions}; load at "
        f"the end {load}. Medians of {rounds} rounds; spread from lowest to highest."
    )
    lines = [
        "# Results",
        "",
        setting,
        "",
        "| ratio | median / median |",
        "| --- | --- |",
        *(
            f"| {title} | {statistics.median(rate(found[one])) / statistics.median(rate(found[other])):.2f} |"
            for title, one, other in RATIOS
        ),
        "",
        "| measurement | events/s, median | spread | peak memory, MB |",
        "| --- | --- | --- | --- |",
    ]
    for name, results in found.items():
        rates = rate(results)
        peak = max(result["peak_mb"] for result in results)
        spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
        lines.append(f"| {name} | {statistics.median(rates):,.0f} | {spread} | {peak:,.0f} |")
    p50, p99 = (statistics.median(result[key] for result in found["emit"]) for key in ("p50_us", "p99_us"))
    return "\n".join([*lines, "", f"`emit()` in the caller: p50 {p50:.1f} µs, p99 {p99:.1f} µs.", ""])


if __name__ == "__main__":
    typer.run(run)
