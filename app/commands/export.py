"""``matterlog export``: writes the Activity report to a file with its manifest."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from matterlog.app.commands.filter_options import filter_of, with_filter_options
from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.errors import WrongUse
from matterlog.app.files.ends_query import EndsQuery
from matterlog.app.files.exporting import STANDARD_OUTPUT, LogExtracts, export_part, export_to, export_to_file
from matterlog.app.owner.access import open_log
from matterlog.app.settings import Settings
from matterlog.app.terminal.shown_extracts import ShownExtracts
from matterlog.report.extracts.formats import format_of_file, known_format, names
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.series import Series
from matterlog.schemas.columns import ColumnSet


def format_option(help_: str) -> Any:
    """Return the option ``--format``."""
    return typer.Option(parser=known_format, metavar=f"<{'|'.join(names())}>", help=help_)


Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE|-", help="File to write; - is standard output.")]
OutputUnlessSeries = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE|-", help="File to write; - is standard output.")
]
Format = Annotated[str | None, format_option("By default from the file's name, else csv.")]
Columns = Annotated[ColumnSet, typer.Option(help="report: the eight columns; full: company and office too.")]
EventId = Annotated[bool, typer.Option("--event-id", help="Add the column event_ID at the end.")]
RawCsv = Annotated[bool, typer.Option("--raw-csv", help="Do not guard text that looks like a formula.")]
Excel = Annotated[bool, typer.Option("--excel", help="Start CSV with a byte-order mark, for Excel.")]
ManifestFile = Annotated[
    Path | None, typer.Option("--manifest", metavar="FILE", help="Manifest file. [the extract's name + .manifest.json]")
]
SeriesName = Annotated[
    str | None, typer.Option("--series", metavar="NAME", help="Write the next part of this series instead of --output.")
]
Directory = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the series.")]


@with_settings("bootstrap_servers", "topic_prefix", "database")
@with_filter_options
def export(
    settings: Settings,
    chosen: dict[str, Any],
    output: OutputUnlessSeries = None,
    format: Format = None,  # noqa: A002 - the flag's name
    columns: Columns = ColumnSet.REPORT,
    event_id: EventId = False,
    raw_csv: RawCsv = False,
    excel: Excel = False,
    manifest: ManifestFile = None,
    series: SeriesName = None,
    directory: Directory = None,
) -> None:
    """Write the Activity report to a file.

    The report has one row per view, by default of all time, ordered by time, from one committed state. Works while
    consume runs. The file appears only when it is complete, with a manifest beside it that says what it holds. In CSV,
    text that a spreadsheet would run as a formula gets a leading quote, unless --raw-csv is given. Other formats keep
    all text unchanged.

    \b
    Example:
      matterlog export --format csv --last 30d --output activity-report.csv
      matterlog export --from 2026-10-01 --to 2026-10-31 --output october.xlsx
      matterlog export --format json --matter M-1 --matter M-2 --output -
      matterlog export --series activity --directory /srv/reports
    """
    request = ExtractRequest(
        format=format or format_of_file(output or ""),
        filter=filter_of(**chosen),
        columns=columns,
        raw_csv=raw_csv,
        excel=excel,
        with_event_id=event_id,
    )
    _check(output, manifest, series, directory, chosen["last"])
    with open_log(log_of(settings)) as log:
        ends = EndsQuery(settings).answer
        source = ShownExtracts(log) if sys.stderr.isatty() else LogExtracts(log)
        if series and directory:
            typer.echo(export_part(Series(directory, series), source, request, ends), err=True)
            return
        if output is None or output == STANDARD_OUTPUT:
            folder = log_of(settings).spill
            extract = export_to(write_to_standard_output, source, request, ends, manifest, folder=folder)
        else:
            extract = export_to_file(Path(output), source, request, ends, manifest)
    target = "standard output" if output in {None, STANDARD_OUTPUT} else output
    typer.echo(f"{extract.rows:,} rows, {extract.bytes:,} bytes to {target}, SHA-256 {extract.sha256}", err=True)


def _check(
    output: str | None, manifest: Path | None, series: str | None, directory: Path | None, last: str | None
) -> None:
    """Check for one target, and for a series that no option contradicts it."""
    if (series is None) != (directory is None):
        raise WrongUse("--series and --directory must be given together")
    if (series is None) == (output is None):
        raise WrongUse("give either --output FILE, or --series NAME --directory DIR")
    if series is not None and (last is not None or manifest is not None):
        raise WrongUse("--series cannot be combined with --last, whose days differ each time, or with --manifest")


def write_to_standard_output(data: bytes) -> None:
    """Write all bytes, bypassing Python's own buffer."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]
