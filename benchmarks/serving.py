"""``python -m benchmarks.serving``: measure how fast the log fills, alone and while twenty readers export it.

``matterlog serve`` runs in a separate process. It reads a backlog from a real Apache Kafka into a table that already
has rows. Twenty readers, each with an API token, download the whole log as CSV over HTTP, one extract after another,
and check each one's SHA-256. Rounds with and without readers alternate, so that a noisy neighbour hits both. The
result is the ratio of medians, which is written to ``serving.md``.
"""

import base64
import hashlib
import http.client
import multiprocessing
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Thread
from typing import Annotated, Final

import duckdb
import typer

from benchmarks.emitting import PLAIN, write_topic
from benchmarks.setting import Setting, measure
from matterlog.app.topics.topics_admin import TopicAdmin
from matterlog.schemas import Topics
from testbed.apache_kafka import LocalKafka
from testbed.served import Served, serving, tokens_for

RESULTS: Final = Path(__file__).parent / "serving.md"
EXTRACT: Final = "/api/v1/extracts/activity"
GOAL: Final = 0.75
_LOOK_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 600.0
_PROCESSES = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Round:
    """The result of one round: the writer's rows a second, and the numbers of whole, torn and refused extracts."""

    rows_a_second: float
    whole: int = 0
    torn: int = 0
    refused: int = 0


def run(
    count: Annotated[int, typer.Option(min=100_000, help="Number of events in the backlog.")] = 2_000_000,
    rows: Annotated[int, typer.Option(min=1_000, help="Rows in the existing table.")] = 500_000,
    readers: Annotated[int, typer.Option(min=1, max=20, help="Number of readers that export.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds with readers, and without.")] = 5,
) -> None:
    """Measure the service and write benchmarks/serving.md.

    Example: python -m benchmarks.serving --count 500000 --rounds 3
    """
    with tempfile.TemporaryDirectory() as folder, LocalKafka(Path(folder, "kafka")) as kafka:
        broker = kafka.bootstrap_servers
        setting = Setting(broker=broker, folder=folder, count=count, rows=rows, emits=0, seconds=0)
        TopicAdmin(broker, {}).create(Topics(PLAIN), 6, 1)
        write_topic(setting, PLAIN, count, list)
        measure("prepare", setting)
        alone, beside = [], []
        for _ in range(rounds):
            alone.append(one_round(setting, 0))
            beside.append(one_round(setting, readers))
            print(alone[-1], beside[-1], f"load {os.getloadavg()[0]:.1f}", flush=True)
    text = report(alone, beside, f"--count {count} --rows {rows} --readers {readers} --rounds {rounds}", readers)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def one_round(setting: Setting, readers: int) -> Round:
    """Fill the log from the backlog while this number of readers exports it."""
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        database = Path(folder, "log.duckdb")
        shutil.copyfile(setting.path("prepared.duckdb"), database)
        tokens = tokens_for(database, readers) if readers else []
        settings = {"MATTERLOG_BOOTSTRAP_SERVERS": setting.broker, "MATTERLOG_TOPIC_PREFIX": PLAIN}
        with serving(database, settings=settings) as served, _reading(served.url, tokens) as found:
            rate = _rate(served, setting.count)
    return Round(rate, *found)


def _rate(served: Served, count: int) -> float:
    """Return rows a second between the first applied batch that was seen and the last, by their times."""
    first: tuple[float, float] | None = None
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        applied, at = _applied(served)
        if applied and first is None:
            first = applied, at
        if applied >= count and first is not None:
            return (applied - first[0]) / (at - first[1])
        time.sleep(_LOOK_SECONDS)
    raise SystemExit(f"the backlog was not read within {_PATIENCE_SECONDS:.0f} s")


def _applied(served: Served) -> tuple[float, float]:
    figures = served.figures()
    return figures["matterlog_applied_views_total"], figures.get("matterlog_last_applied_timestamp_seconds", 0.0)


@contextmanager
def _reading(url: str, tokens: Sequence[str]) -> Iterator[list[int]]:
    """Read with all tokens in a separate process while the block runs. The list then gets the counts of ``Round``."""
    found: list[int] = []
    if not tokens:
        yield found
        return
    stop, results = _PROCESSES.Event(), _PROCESSES.SimpleQueue()
    process = _PROCESSES.Process(target=_read_all, args=(url, tokens, stop, results), daemon=True)
    process.start()
    try:
        yield found
    finally:
        stop.set()
        found += results.get()
        process.join()


def _read_all(url: str, tokens: Sequence[str], stop: Event, results: "multiprocessing.SimpleQueue[list[int]]") -> None:
    os.nice(10)  # in production, readers take no CPU time from the service
    counts = [0, 0, 0]
    threads = [Thread(target=_read, args=(url, token, stop, counts), daemon=True) for token in tokens]
    for thread in threads:
        thread.start()
    stop.wait()
    results.put(counts)


def _read(url: str, token: str, stop: Event, counts: list[int]) -> None:
    while not stop.is_set():
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_PATIENCE_SECONDS)
        connection.request("GET", EXTRACT, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        digest = hashlib.sha256()
        while not stop.is_set() and (chunk := answer.read(1 << 20)):
            digest.update(chunk)
        if stop.is_set():  # the answer is incomplete
            return
        if answer.status == http.HTTPStatus.OK:
            said = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
            counts[0 if answer.headers["Repr-Digest"] == said else 1] += 1
        else:
            counts[2] += 1
            stop.wait(float(answer.headers.get("Retry-After", 5)))
        connection.close()


def report(alone: Sequence[Round], beside: Sequence[Round], settings: str, readers: int) -> str:
    """Return the result as Markdown."""
    rates = [statistics.median(each.rows_a_second for each in found) for found in (alone, beside)]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    setting = (
        f"`python -m benchmarks.serving {settings}` on {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, DuckDB {duckdb.__version__}, Kafka and readers on the same machine; load at the "
        f"end {load}. Medians of the rounds, lowest to highest in brackets."
    )
    lines = [
        "# Readers beside the writer",
        "",
        setting,
        "",
        "| measurement | |",
        "| --- | --- |",
        f"| rows committed without readers | {_spread(alone)} |",
        f"| rows committed while {readers} readers export | {_spread(beside)} |",
        f"| the ratio of both (goal: at least {GOAL}) | {rates[1] / rates[0]:.2f} |",
        f"| whole extracts, in all rounds | {sum(each.whole for each in beside)} |",
        f"| torn extracts | {sum(each.torn for each in beside)} |",
        f"| requests refused temporarily (503, 429) | {sum(each.refused for each in beside)} |",
        "",
    ]
    return "\n".join(lines)


def _spread(found: Sequence[Round]) -> str:
    rates = sorted(each.rows_a_second for each in found)
    return f"{statistics.median(rates):,.0f}/s ({rates[0]:,.0f} to {rates[-1]:,.0f})"


if __name__ == "__main__":
    typer.run(run)
