"""``make bench``: run all measurements in turn on a real Apache Kafka and write ``results.md``.

Topics and a database are filled once. The measurements alternate within a round, so that a noisy neighbour hits all of
them, and the results are ratios of medians. Every other round runs backwards: on a virtual machine the first of two
measurements that need much memory waits for the host to provide it, and the second one has it already.
"""

import os
import tempfile
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.emitting import PREFIXES
from benchmarks.report import Results, report
from benchmarks.setting import Setting, measure
from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.schemas import Topics
from testbed.apache_kafka import LocalKafka

RESULTS: Final = Path(__file__).parent / "results.md"
EACH_ROUND: Final = (
    *("drop", "drop_by_default", "decode", "consume", "consume_fastavro", "consume_beside_rows"),
    *("consume_duplicates", "consume_with_deletions", "consume_mixed", "consume_poison", "emit"),
    *("export_csv", "copy_csv", "export_json", "copy_json"),
    *("purge_1", "delete_1", "purge_100", "delete_100", "commit"),
    *("purge_1_first", "delete_1_first", "purge_100_first", "delete_100_first"),
)
ONCE: Final = ("visible", "python_csv")


def run(  # noqa: PLR0917 - each one is a flag
    count: Annotated[int, typer.Option(min=10_000, help="Events in each topic.")] = 2_000_000,
    rows: Annotated[int, typer.Option(min=10_000, help="Rows in the existing table.")] = 10_000_000,
    emits: Annotated[int, typer.Option(min=1_000, help="Number of calls of emit().")] = 200_000,
    seconds: Annotated[int, typer.Option(min=5, help="How long to emit 1,000 events a second, in seconds.")] = 30,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds, best an even one.")] = 4,
    only: Annotated[str, typer.Option(help="Run only these, separated by commas, and write no results.")] = "",
) -> None:
    """Run the benchmarks and write benchmarks/results.md.

    Example: python -m benchmarks --count 200000 --rows 1000000 --rounds 1
    """
    wanted = [name for name in only.split(",") if name]
    with tempfile.TemporaryDirectory() as folder, LocalKafka(Path(folder, "kafka")) as kafka:
        broker = kafka.bootstrap_servers
        setting = Setting(broker=broker, folder=folder, count=count, rows=rows, emits=emits, seconds=seconds)
        for prefix in PREFIXES:
            TopicAdmin(broker, {}).create(Topics(prefix), 6, 1)
        found = measured(setting, rounds, wanted)
    if not wanted:
        settings = f"--count {count} --rows {rows} --emits {emits} --seconds {seconds} --rounds {rounds}"
        RESULTS.write_text(report(found, settings), encoding="utf-8")
        print(f"Wrote {RESULTS}")


def measured(setting: Setting, rounds: int, wanted: list[str]) -> Results:
    """Run the wanted measurements, or all, and return their results."""
    found: Results = {}
    there_and_back = [EACH_ROUND[:: -1 if number % 2 else 1] for number in range(rounds)]
    for name in ("fill", "prepare", *chain.from_iterable(there_and_back), *ONCE):
        if not wanted or name in {"fill", "prepare", *wanted}:
            found.setdefault(name, []).append(measure(name, setting))
            print(line(name, found[name][-1]), flush=True)
    return found


def line(name: str, result: dict[str, float]) -> str:
    """Return a line with a measurement's result and the machine's load."""
    rate = f"{result['events'] / result['seconds']:12,.0f}/s" if "seconds" in result else f"{'':14}"
    times = "  ".join(f"{key} {result[key]:,.1f}" for key in result if key.startswith(("own", "p50", "p99", "worst")))
    return f"{name:24}{rate} {result['peak_mb']:7,.0f} MB  load {os.getloadavg()[0]:4.1f}  {times}"


if __name__ == "__main__":
    typer.run(run)
