"""``matterlog engagement``: who views which matters, how often and when."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from rich.console import Console

from matterlog.app.commands.export import Excel, Output, RawCsv, format_option, write_to_standard_output
from matterlog.app.commands.filter_options import FILTER_OPTIONS, filter_of
from matterlog.app.commands.options import log_of, with_settings, with_value
from matterlog.app.errors import WrongUse
from matterlog.app.files.exporting import STANDARD_OUTPUT, EngagementTables, export_to, export_to_file
from matterlog.app.owner.access import LogAccess, open_log
from matterlog.app.owner.questions import EngagementQuestion
from matterlog.app.settings import Settings
from matterlog.app.terminal.engagement_text import print_engagement
from matterlog.report.engagement.analyses import ANALYSES, asked_by_name
from matterlog.report.engagement.analyses.activity import ACTIVITY, WEEKDAY_HOURS
from matterlog.report.engagement.analyses.analysis_spec import Option
from matterlog.report.engagement.engagement import EngagementRequest, Names
from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.engagement.engagement_period import Bucket
from matterlog.report.extracts.formats import format_of_file
from matterlog.report.handover.manifest import KnownEnds
from matterlog.report.log.filters import ENGAGEMENT_PERIOD

_DEFAULT_ROWS: Final = 31
# The width of a table if the terminal's width is unknown.
_PIPE_COLUMNS: Final = 120


if TYPE_CHECKING:
    Question = str
else:
    # Typer takes the words that it accepts from the type: the registered analyses.
    Question = Literal[tuple(asked_by_name())]


class ActivityBy(StrEnum):
    """The unit that activity is counted by: a stretch of time, or the hour of the week."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    WEEKDAY_HOUR = "weekday-hour"


Asked = Annotated[Question, typer.Argument(help="The analysis.", show_default=False)]
Counted = Annotated[
    ActivityBy | None, typer.Option(help="activity only: the unit to count by. [day, then weekday-hour]")
]
QuietFor = Annotated[int | None, typer.Option(min=1, metavar="DAYS", help="users only: not seen for this many days.")]
Expected = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="clients only: expected companies, one per line, by ID, name or domain."),
]
IncludeDemo = Annotated[bool, typer.Option("--include-demo", help="Count demo matters too.")]
RawViews = Annotated[bool, typer.Option("--raw-views", help="Count views, including refreshes within 60 s.")]
Shown = Annotated[Names, typer.Option(help="latest: as in the log now; as-viewed: as in the counted views.")]
Rows = Annotated[int, typer.Option(min=0, metavar="N", help="Rows of a printed table; 0 for all.")]
Format = Annotated[
    str | None, format_option("By default from the file's name, else csv; without a file, a printed table.")
]


def _counted_views(
    include_demo: IncludeDemo = False, raw_views: RawViews = False, names: Shown = Names.LATEST, **chosen: Any
) -> dict[str, Any]:
    """Return what an EngagementRequest says of the views that it counts; ``chosen`` are the filter's options."""
    shown = {"raw_views": raw_views, "names": names, "include_demo": include_demo}
    filter_ = filter_of(**chosen, default=ENGAGEMENT_PERIOD)
    return {"now": datetime.now(UTC), "filter": filter_, "timezone": chosen["timezone"], **shown}


_OWN_OPTIONS: Final = tuple(signature(_counted_views).parameters.values())[:-1]
# Gives a command the views that engagement counts.
with_counted_views: Final = with_value("counted", _counted_views, (*FILTER_OPTIONS, *_OWN_OPTIONS))


@with_settings("database")
@with_counted_views
def engagement(
    settings: Settings,
    question: Asked,
    counted: dict[str, Any],
    by: Counted = None,
    quiet_for: QuietFor = None,
    expected: Expected = None,
    rows: Rows = _DEFAULT_ROWS,
    output: Output = STANDARD_OUTPUT,
    format: Format = None,  # noqa: A002 - the flag's name
    raw_csv: RawCsv = False,
    excel: Excel = False,
) -> None:
    """Report who views which matters, how often and when.

    By default the period is the last 30 days. All time is compared with no earlier period. Views of one matter by one
    user, each within 60 s of the one before, are one visit. docs/engagement.md explains each figure. Works while
    consume runs. A file is registered like an extract and gets a manifest beside it, so that a later deletion can
    recall it.

    \b
    Example:
      matterlog engagement users --last 90d --timezone Europe/London
      matterlog engagement matters --from 2026-10-01 --to 2026-10-31 --output matters.xlsx
      matterlog engagement clients --expected invited.txt --matter M-1
      matterlog engagement activity --by week --all
    """
    check_options("engagement", question, {"by": by, "quiet_for": quiet_for, "expected": expected})
    request = EngagementRequest(
        **counted,
        analysis=WEEKDAY_HOURS.name if by is ActivityBy.WEEKDAY_HOUR else question,
        by=Bucket.DAY if by in {None, ActivityBy.WEEKDAY_HOUR} else Bucket(str(by)),
        quiet_for_days=quiet_for,
        expected=read_expected(expected),
    )
    with open_log(log_of(settings)) as log:
        if format is None and output == STANDARD_OUTPUT:
            _print(log, request, rows, with_hours=by is None)
        else:
            kind = format or format_of_file(output)
            wanted = EngagementFileRequest(engagement=request, format=kind, raw_csv=raw_csv, excel=excel)
            _write(log, wanted, output, log_of(settings).spill)


def check_options(command: str, question: str, options: Mapping[Option, object]) -> None:
    """Refuse an option that this analysis does not have."""
    for option, value in options.items():
        if value is not None and option not in ANALYSES[question].options:
            analyses = " and ".join(spec.name for spec in ANALYSES.values() if option in spec.options)
            raise WrongUse(f"--{option.replace('_', '-')} works only with {command} {analyses}")


def read_expected(path: Path | None) -> tuple[str, ...]:
    """Return a file's lines that are not empty, without the ``@`` before a domain."""
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} cannot be read as UTF-8 text ({type(error).__name__})") from error
    return tuple(line.strip().removeprefix("@") for line in lines if line.strip())


def _print(log: LogAccess, request: EngagementRequest, rows: int, *, with_hours: bool) -> None:
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_COLUMNS
    print_engagement(console, log.ask(EngagementQuestion(request=request)), rows)
    if request.analysis == ACTIVITY.name and with_hours:
        hours = request.model_copy(update={"analysis": WEEKDAY_HOURS.name})
        print_engagement(console, log.ask(EngagementQuestion(request=hours)), rows)


def _write(log: LogAccess, wanted: EngagementFileRequest, output: str, folder: Path) -> None:
    tables = EngagementTables(log, folder if output == STANDARD_OUTPUT else Path(output).parent)
    if output == STANDARD_OUTPUT:
        extract = export_to(write_to_standard_output, tables, wanted, _ends, None, folder=folder)
    else:
        extract = export_to_file(Path(output), tables, wanted, _ends, None)
    target = "standard output" if output == STANDARD_OUTPUT else output
    typer.echo(f"{extract.rows:,} rows to {target}", err=True)


def _ends() -> KnownEnds:
    return KnownEnds(not_known_because="Kafka is not asked for an engagement table")
