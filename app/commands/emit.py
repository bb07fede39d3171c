"""``matterlog emit``: sends the events in a file, for a backfill or from an old extract."""

import codecs
import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress

from matterlog.app.commands.options import BootstrapServers, Config, TopicPrefix, producer_of, settings_of
from matterlog.app.errors import SomeRecordsRefused
from matterlog.app.files.import_records import (
    BadFile,
    BadRecord,
    DeletionRecords,
    Line,
    RecordFormat,
    Records,
    ViewRecords,
    read_lines,
)
from matterlog.app.settings import Settings
from matterlog.producers import BufferFull, KafkaProducer, MatterDeletionProducer, MatterViewProducer
from matterlog.schemas import MatterDeleted, MatterViewed

# A person waits: batches are larger than a web app's, an unavailable broker is reported within a minute, a missing
# topic within seconds.
_BACKFILL: Final[Mapping[str, str]] = {
    "linger.ms": "50",
    "delivery.timeout.ms": "60000",
    "topic.metadata.propagation.max.ms": "5000",
}
_SOURCE: Final = "matterlog/emit"
_STANDARD_INPUT: Final = "-"
_FLUSH_SECONDS: Final = 0.5
# Longer than the delivery timeout, so that every event has its outcome by then.
_LAST_FLUSH_SECONDS: Final = 90.0
_UPDATE_EVERY_LINES: Final = 500

app = typer.Typer(help="Send events from a file to Kafka.", no_args_is_help=True, rich_markup_mode=None)

File = Annotated[str, typer.Argument(metavar="FILE|-", help="A CSV or NDJSON file; - is standard input.")]
Format = Annotated[RecordFormat | None, typer.Option(help="By default from the file's name, else from its content.")]
RawCsv = Annotated[bool, typer.Option("--raw-csv", help="The CSV has no guard against formulas.")]


@app.command("views")
def views(
    file: File,
    format: Format = None,  # noqa: A002 - the flag's name
    raw_csv: RawCsv = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Send matter views from a file.

    The file has the column names of an extract and, optionally, event_ID. Bad lines are reported on standard error, the
    others are sent, and the exit code is 1. A line without event_ID gets an ID made from its content, so that sending
    the same file again counts no view twice.

    \b
    Example:
      matterlog emit views activity-report.csv --bootstrap-servers kafka:9092
    """
    settings = settings_of(config, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    _emit_file(settings, file, format, lambda guarded: ViewRecords(guarded=guarded and not raw_csv))


@app.command("deletions")
def deletions(
    file: File,
    format: Format = None,  # noqa: A002 - the flag's name
    raw_csv: RawCsv = False,
    bootstrap_servers: BootstrapServers = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Send matter deletions from a file.

    The file has the column matter_ID and, optionally, deleted_at and event_ID. A deletion is final: all views of the
    matter are purged, and later ones are refused.

    \b
    Example:
      echo '{"matter_ID": "M-1"}' | matterlog emit deletions - --bootstrap-servers kafka:9092
    """
    settings = settings_of(config, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    now = datetime.now(UTC)
    _emit_file(settings, file, format, lambda guarded: DeletionRecords(guarded=guarded and not raw_csv, now=now))


def _emit_file(
    settings: Settings, file: str, chosen: RecordFormat | None, make_records: Callable[[bool], Records]
) -> None:
    with _opened(file) as binary:
        written = chosen or _format_of(file, binary.peek(1))
        records = make_records(written is RecordFormat.CSV)
        # Bytes that are not UTF-8 become lone surrogates, which no field allows: only their own line fails.
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
        _emit(settings, file, _with_progress(read_lines(text, written, records), binary), records)


def _emit(settings: Settings, file: str, lines: Iterator[Line | BadRecord], records: Records) -> None:
    """Send every good record and report every bad one."""
    # A log line per undelivered event would bury the bad lines. These events are counted below, with the reasons.
    logging.getLogger("matterlog.producers").setLevel(logging.ERROR)
    sent = bad = 0
    failures: Counter[str] = Counter()
    with producer_of(
        settings, defaults=_BACKFILL, on_failure=lambda failure: failures.update([failure.reason])
    ) as transport:
        send = _sender(transport, settings.topic_prefix, records)
        for line in lines:
            try:
                send(_event(line, records))
                sent += 1
            except BadRecord as error:
                bad += 1
                typer.echo(f"{file}:{error}", err=True)
        transport.flush(_LAST_FLUSH_SECONDS)
    delivered = sent - failures.total()
    typer.echo(f"{delivered:,} events sent, {bad:,} bad lines, {failures.total():,} events not accepted by Kafka")
    if bad or failures:
        reasons = "".join(f". Kafka: {reason} ({count:,})" for reason, count in failures.items())
        advice = ". Check that Kafka is up and the topics exist (matterlog topics create)" if failures else ""
        raise SomeRecordsRefused(f"{bad + failures.total():,} of {sent + bad:,} records were not sent{reasons}{advice}")


def _event(line: Line | BadRecord, records: Records) -> MatterViewed | MatterDeleted:
    if isinstance(line, BadRecord):
        raise line
    return records.event(line)


def _sender(transport: KafkaProducer, prefix: str, records: Records) -> Callable[[Any], None]:
    """Return a function that sends one event and waits while the buffer is full."""
    send: Callable[[Any], object]
    if isinstance(records, ViewRecords):
        send = MatterViewProducer(transport, topic_prefix=prefix, source=_SOURCE).emit_event
    else:
        deletions = MatterDeletionProducer(transport, topic_prefix=prefix, source=_SOURCE)
        send = partial(deletions.emit_event, wait_seconds=None)

    def send_when_there_is_room(event: Any) -> None:
        while True:
            try:
                send(event)
            except BufferFull:
                transport.flush(_FLUSH_SECONDS)
            else:
                return

    return send_when_there_is_room


@contextmanager
def _opened(file: str) -> Iterator[BufferedReader]:
    if file == _STANDARD_INPUT:
        yield sys.stdin.buffer  # type: ignore[misc]  # a BufferedReader wherever standard input is a stream of bytes
        return
    try:
        binary = Path(file).open("rb")  # noqa: SIM115 - entered below, outside the try
    except OSError as error:
        raise BadFile(f"{file} cannot be read: {error.strerror}") from error
    with binary:
        yield binary


def _format_of(file: str, beginning: bytes) -> RecordFormat:
    """Return the format by the file's name, else by its first character."""
    suffix = Path(file).suffix.lower()
    if suffix in {".csv", ".ndjson", ".jsonl"}:
        return RecordFormat.CSV if suffix == ".csv" else RecordFormat.NDJSON
    first = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    return RecordFormat.NDJSON if first.startswith((b"{", b"[")) else RecordFormat.CSV


def _with_progress(lines: Iterator[Line | BadRecord], binary: BufferedReader) -> Iterator[Line | BadRecord]:
    """Show how much of the file was read, if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from lines
        return
    total = os.fstat(binary.fileno()).st_size or None
    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=console, transient=True) as progress:
        task = progress.add_task("sending", total=total)
        for count, line in enumerate(lines):
            if count % _UPDATE_EVERY_LINES == 0:
                progress.update(task, completed=binary.raw.tell() if binary.seekable() else None)
            yield line
