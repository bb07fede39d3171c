"""``matterlog emit``: backfill, and importing an old extract.

1. A bad view costs only itself: views are read, checked and sent one by one.
2. Deletions cannot be taken back: all of a file are checked before the first is sent.
"""

import codecs
import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress

from matterlog.app.commands.options import with_settings
from matterlog.app.errors import BadRecord, SomeRecordsRefused
from matterlog.app.files.import_records import (
    BadFile,
    DeletionRecords,
    Line,
    RecordFormat,
    Records,
    ViewRecords,
    read_lines,
)
from matterlog.app.settings import Settings
from matterlog.app.terminal.stop_signals import Stop
from matterlog.producers import BufferFull, KafkaProducer, MatterDeletionProducer, MatterViewProducer, NotDelivered
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
# What a person waits after Ctrl-C for what is under way.
_STOP_SECONDS: Final = 3.0
_UPDATE_EVERY_LINES: Final = 500
_MAX_DELETIONS_BYTES: Final = 100_000_000

# The event of each line of a file, or what is wrong with the line.
Events = Iterator[MatterViewed | MatterDeleted | BadRecord]

app = typer.Typer(help="Send events from a file to Kafka.", no_args_is_help=True, rich_markup_mode=None)

File = Annotated[str, typer.Argument(metavar="FILE|-", help="CSV, NDJSON or a JSON array; - is standard input.")]
Format = Annotated[
    RecordFormat | None,
    typer.Option(help="By default what the file's name ends with, else what it begins with. [ begins an array."),
]
SkipBadLines = Annotated[
    bool, typer.Option("--skip-bad-lines", help="Send the good deletions although others are bad.")
]
RawCsv = Annotated[bool, typer.Option("--raw-csv", help="The CSV was written without the guard against formulas.")]


@app.command("views")
@with_settings("bootstrap_servers", "topic_prefix")
def views(
    settings: Settings,
    file: File,
    format: Format = None,  # noqa: A002 - the flag's name
    raw_csv: RawCsv = False,
) -> None:
    """Send matter views from a file.

    The file has the column names of an extract and, optionally, event_ID. Bad lines are reported on standard error, the
    others are sent, and the exit code is 1. A line without event_ID gets an ID made from its content, so that sending
    the same file again counts no view twice.

    \b
    Example:
      matterlog emit views activity-report.csv --bootstrap-servers kafka:9092
    """
    with _opened(file) as binary:
        records, events = _read(file, format, binary, lambda guarded: ViewRecords(guarded=guarded and not raw_csv))
        _emit(settings, file, records, _with_progress(events, binary))


@app.command("deletions")
@with_settings("bootstrap_servers", "topic_prefix")
def deletions(
    settings: Settings,
    file: File,
    format: Format = None,  # noqa: A002 - the flag's name
    raw_csv: RawCsv = False,
    skip_bad_lines: SkipBadLines = False,
) -> None:
    """Send matter deletions from a file.

    A deletion is terminal: every view of the matter is purged or refused from then on. So the whole file, at most 100
    MB, is checked before the first one is sent; a bad line sends nothing.

    \b
    Example:
      echo '{"matter_ID": "M-1"}' | matterlog emit deletions - --bootstrap-servers kafka:9092
    """
    now = datetime.now(UTC)

    def make_records(guarded: bool) -> Records:
        return DeletionRecords(guarded=guarded and not raw_csv, now=now)

    with _opened(file) as binary:
        whole = binary.read(_MAX_DELETIONS_BYTES + 1)
    if len(whole) > _MAX_DELETIONS_BYTES:
        raise BadFile(f"{file} has more than {_MAX_DELETIONS_BYTES:,} bytes: no deletion was sent. Split the file")
    if not skip_bad_lines:
        _check(file, _read(file, format, BufferedReader(io.BytesIO(whole)), make_records)[1])
    _emit(settings, file, *_read(file, format, BufferedReader(io.BytesIO(whole)), make_records))


def _read(
    file: str, chosen: RecordFormat | None, binary: BufferedReader, make_records: Callable[[bool], Records]
) -> tuple[Records, Events]:
    """Return the kind of a file's records, in whichever format it is, and the event of each line."""
    # White space says nothing of the format, and may be all that has come so far.
    skipped = 0
    while (beginning := binary.peek(1)) and not beginning.removeprefix(codecs.BOM_UTF8).strip():
        skipped += binary.read(len(beginning)).count(b"\n")
    written = _format_of(file, chosen, beginning)
    records = make_records(written is RecordFormat.CSV)
    # Bytes that are no UTF-8 become lone surrogates, which no field allows: they cost their own line alone.
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
    return records, _events(read_lines(text, written, records), records, skipped)


def _events(lines: Iterator[Line | BadRecord], records: Records, skipped: int) -> Events:
    for line in lines:
        try:
            event = line if isinstance(line, BadRecord) else records.event(line)
        except BadRecord as error:
            event = error
        yield BadRecord(event.line + skipped, event.reason) if isinstance(event, BadRecord) else event


def _check(file: str, events: Events) -> None:
    """Report every bad line; raise ``SomeRecordsRefused`` if there is one."""
    bad = total = 0
    for total, event in enumerate(events, 1):  # noqa: B007 - counted
        if isinstance(event, BadRecord):
            bad += 1
            typer.echo(f"{file}:{event}", err=True)
    if bad:
        raise SomeRecordsRefused(
            f"{bad:,} of {total:,} lines are bad, so no deletion was sent. Correct them and send the file again, or "
            "send the good ones alone with --skip-bad-lines"
        )


def _emit(settings: Settings, file: str, records: Records, events: Events) -> None:
    # One line an event that is not delivered would bury the bad lines; they are counted below, with the reasons.
    logging.getLogger("matterlog.producers").setLevel(logging.ERROR)
    sent = bad = 0
    failures: Counter[str] = Counter()
    stop = Stop()
    with KafkaProducer(
        settings.broker(),
        settings={**_BACKFILL, **settings.kafka},
        on_failure=lambda failure: failures.update([failure.reason]),
        schema_registry=settings.schema_registry_url,
    ) as transport:
        send = _sender(transport, settings.topic_prefix, records, stop)
        try:
            for event in events:
                if isinstance(event, BadRecord):
                    bad += 1
                    typer.echo(f"{file}:{event}", err=True)
                else:
                    if not sent:
                        settings.await_kafka()
                    with stop.held():
                        sent += send(event)
            transport.flush(_LAST_FLUSH_SECONDS)
        except SystemExit:
            with suppress(NotDelivered):
                transport.close(_STOP_SECONDS)
            _tell(sent, bad, failures)
            typer.echo(f"stopped before the end of {file}. Send it again: what was sent is not counted twice", err=True)
            raise
    _tell(sent, bad, failures)
    if bad or failures:
        reasons = "".join(f". Kafka: {reason} ({count:,})" for reason, count in failures.items())
        # A right that is missing is named, and no reason to look for anything else.
        unclear = [reason for reason in failures if "kafka-acls" not in reason]
        advice = ". Check that Kafka is up and the topics exist (matterlog topics create)" if unclear else ""
        raise SomeRecordsRefused(f"{bad + failures.total():,} of {sent + bad:,} records were not sent{reasons}{advice}")


def _tell(sent: int, bad: int, failures: Counter[str]) -> None:
    failed = failures.total()
    typer.echo(f"{sent - failed:,} events sent, {bad:,} bad lines, {failed:,} events not accepted by Kafka")


def _sender(transport: KafkaProducer, prefix: str, records: Records, stop: Stop) -> Callable[[Any], bool]:
    """Return a function that sends one event, waits while the buffer is full, and returns whether it was sent."""
    send: Callable[[Any], object]
    if isinstance(records, ViewRecords):
        send = MatterViewProducer(transport, topic_prefix=prefix, source=_SOURCE).emit_event
    else:
        deletions = MatterDeletionProducer(transport, topic_prefix=prefix, source=_SOURCE)
        send = partial(deletions.emit_event, wait_seconds=None)

    def send_when_there_is_room(event: Any) -> bool:
        while not stop.code:
            try:
                send(event)
            except BufferFull:
                transport.flush(_FLUSH_SECONDS)
            else:
                return True
        return False

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


def _format_of(file: str, chosen: RecordFormat | None, beginning: bytes) -> RecordFormat:
    """Return the format that was chosen, else by the file's name, else by its first character; [ begins an array."""
    first = beginning.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    named = {".csv": RecordFormat.CSV, ".ndjson": RecordFormat.NDJSON, ".jsonl": RecordFormat.NDJSON}
    written = chosen or named.get(Path(file).suffix.lower())
    if first == b"[" and written is not RecordFormat.CSV:
        return RecordFormat.JSON
    return written or (RecordFormat.NDJSON if first == b"{" else RecordFormat.CSV)


def _with_progress(events: Events, binary: BufferedReader) -> Events:
    """Show how much of the file was read, if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from events
        return
    total = os.fstat(binary.fileno()).st_size or None
    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=console, transient=True) as progress:
        task = progress.add_task("sending", total=total)
        for count, event in enumerate(events):
            if count % _UPDATE_EVERY_LINES == 0:
                progress.update(task, completed=binary.raw.tell() if binary.seekable() else None)
            yield event
