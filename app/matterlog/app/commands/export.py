"""``matterlog export``: the Activity report as a file."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from matterlog.app.access import open_log
from matterlog.app.errors import WrongUse
from matterlog.report.extracts import ColumnSet, Extract, ExtractFormat, ExtractRequest
from matterlog.report.filters import Filter
from matterlog.report.whole_file import whole_file
from matterlog.schemas import MatterType, UserType

from .options import Config, Database, files_of, settings_of

_STANDARD_OUTPUT = "-"


def export(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE|-", help="Where to; - is standard output.")],
    format: Annotated[  # noqa: A002 - the flag's name
        ExtractFormat | None, typer.Option(help="By default what the file's name ends with, else csv.")
    ] = None,
    all_time: Annotated[bool, typer.Option("--all", help="All time; this is the default.")] = False,
    last: Annotated[str | None, typer.Option(metavar="DAYS", help="The last days, such as 30d or 90d.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First UTC day, or an instant with its zone.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last UTC day, included; or an instant with its zone.")
    ] = None,
    matter: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this matter; repeat for more.")] = None,
    user: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this user; repeat for more.")] = None,
    user_type: Annotated[list[UserType] | None, typer.Option(help="Only this type of user.")] = None,
    matter_type: Annotated[list[MatterType] | None, typer.Option(help="Only this type of matter.")] = None,
    columns: Annotated[
        ColumnSet, typer.Option(help="report: the eight columns; full: with company and office.")
    ] = ColumnSet.REPORT,
    event_id: Annotated[bool, typer.Option("--event-id", help="Add the column event_ID behind the others.")] = False,
    raw_csv: Annotated[bool, typer.Option("--raw-csv", help="Leave text as it is that looks like a formula.")] = False,
    database: Database = None,
    config: Config = None,
) -> None:
    """Write the Activity report: one row a visit, ordered by time, from one committed state.

    Works while consume runs on the same database. The file appears when it is whole. In CSV a quote stands in front
    of text that a spreadsheet would run as a formula (--raw-csv leaves it out); JSON holds everything as it is.

    \b
    Example:
      matterlog export --format csv --last 30d --output activity-report.csv
      matterlog export --format json --from 2026-10-01 --to 2026-10-31 --matter M-1 --matter M-2 --output -
    """
    if all_time and (last or from_ or to):
        raise WrongUse("--all goes without --last, --from and --to")
    rows = Filter.of(
        now=datetime.now(UTC),
        last=last,
        first_day=from_,
        last_day=to,
        matters=tuple(matter or ()),
        users=tuple(user or ()),
        user_types=tuple(user_type or ()),
        matter_types=tuple(matter_type or ()),
    )
    request = ExtractRequest(
        format=format or _format_of(output), filter=rows, columns=columns, raw_csv=raw_csv, with_event_id=event_id
    )
    settings = settings_of(config, database=database)
    with open_log(files_of(settings), settings.memory_limit) as log:
        if output == _STANDARD_OUTPUT:
            extract = log.extract(request, _write_to_standard_output)
        else:
            with whole_file(Path(output)) as file:
                extract = log.extract(request, file.write)
    typer.echo(_told(extract, output), err=True)


def _format_of(output: str) -> ExtractFormat:
    return ExtractFormat.JSON if output.lower().endswith(".json") else ExtractFormat.CSV


def _write_to_standard_output(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def _told(extract: Extract, output: str) -> str:
    place = "standard output" if output == _STANDARD_OUTPUT else output
    return f"{extract.rows:,} rows, {extract.bytes:,} bytes to {place}, SHA-256 {extract.sha256}"
