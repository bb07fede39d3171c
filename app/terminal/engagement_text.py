"""Engagement tables for people to read, as wide as the terminal, with totals above and the rule below."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from matterlog.report.engagement.analyses.activity import ACTIVITY, WEEKDAY_HOURS
from matterlog.report.engagement.analyses.analysis_spec import TableColumn, TextTable
from matterlog.report.engagement.engagement import Engagement
from matterlog.report.engagement.engagement_period import wall
from matterlog.schemas import MatterType

Row = Mapping[str, Any]

_NOTHING: Final = "-"
_SHADES: Final = " ░▒▓█"
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_BAR_CHARACTERS: Final = 24
# A narrower terminal has less room for the hours of a week.
_NARROW_CHARACTERS: Final = 78
_NAME_CHARACTERS: Final = 10
# Width of the columns of activity without the bar, for up to a million visits per bucket.
_ACTIVITY_CHARACTERS: Final = 68
# A style only repeats what the word says: nothing is lost without colours.
_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("gone quiet", "long quiet", "below usual", "cooling", "never came"), "yellow"),
        **dict.fromkeys(("new", "above usual"), "green"),
        "far above usual": "bold green",
    }
)


def print_engagement(console: Console, answer: Engagement, rows: int) -> None:
    """Print an answer with at most ``rows`` rows, 0 for all. A list of days loses its first rows, others the last."""
    analysis, table = answer.request.analysis, answer.request.spec.text
    if table is None:
        raise ValueError(f"{analysis} has no text table")
    console.print(Text(_title(answer, table.heading), style="bold"))
    console.print(Text(_based_on(answer)))
    facts = answer.facts
    if facts.before_since is not None and facts.log_since is not None and facts.log_since > facts.before_since:
        note = "The log starts after the start of the previous period, so new users and trends are unreliable."
        console.print(Text(note, style="yellow"))
    all_rows = answer.table.to_pylist()
    shown = all_rows
    if rows and analysis != WEEKDAY_HOURS.name:
        shown = all_rows[-rows:] if analysis == ACTIVITY.name else all_rows[:rows]
    if analysis in DRAWN:
        console.print(DRAWN[analysis](shown, console.width))
    else:
        console.print(_list(table, shown, answer.request.zone, console.width))
    if states := _states(answer, table):
        console.print(Text(states))
    if len(shown) < len(all_rows):
        console.print(f"{len(shown):,} of {len(all_rows):,} rows. --rows 0 shows all.")
    console.print(Text(table.rule, style="dim"))


def _title(answer: Engagement, heading: str) -> str:
    facts, zone = answer.facts, answer.request.zone
    period = f"{_moment(facts.since, zone)} to {_last_moment(facts.until, zone)}, {answer.request.timezone}"
    before = facts.before_since
    return f"{heading}, {period}" + ("" if before is None else f"; previous period from {_moment(before, zone)}")


def _based_on(answer: Engagement) -> str:
    facts, zone, request = answer.facts, answer.request.zone, answer.request
    visits = "each view counted" if request.raw_views else f"{facts.visits:,} visits"
    log = ""
    if facts.log_since is not None and facts.log_until is not None:
        log = f" Log: {_moment(facts.log_since, zone)} to {_moment(facts.log_until, zone)}."
    demo = f" {facts.demo_views_left_out:,} demo views left out."
    if request.include_demo or MatterType.DEMO in request.filter.matter_types:
        demo = " Demo views count."
    demo += f" {facts.later_views_left_out:,} views later than today left out." if facts.later_views_left_out else ""
    if request.quiet_for_days is not None:
        return f"Not seen in the last {request.quiet_for_days} days. Based on {facts.log_views:,} views.{log}{demo}"
    return f"Based on {facts.views:,} of {facts.log_views:,} views ({visits}).{log}{demo}"


def _moment(instant: datetime, zone: ZoneInfo) -> str:
    local = wall(instant, zone)
    return f"{local:%Y-%m-%d}" if local.time() == datetime.min.time() else f"{local:%Y-%m-%d %H:%M}"


def _last_moment(until: datetime, zone: ZoneInfo) -> str:
    """Return the end of a period: its last day if it ends with a day, else the instant."""
    local = wall(until, zone)
    return f"{local - timedelta(days=1):%Y-%m-%d}" if local.time() == datetime.min.time() else _moment(until, zone)


def _list(text_table: TextTable, rows: Sequence[Row], zone: ZoneInfo, characters: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    columns = [column for column in text_table.columns if characters >= text_table.spare_from or not column.is_spare]
    for column in columns:
        is_name = column is columns[0]
        justify: JustifyMethod = "left" if is_name or column.is_words else "right"
        narrowest = _NAME_CHARACTERS if is_name else None
        table.add_column(column.title, justify=justify, no_wrap=not is_name, min_width=narrowest)
    for row in rows:
        table.add_row(*(_cell(column, row, zone, is_name=column is columns[0]) for column in columns))
    return table


def _cell(column: TableColumn, row: Row, zone: ZoneInfo, *, is_name: bool) -> Text:
    written = _written(column, row[column.name], zone)
    is_styled = column.is_words and not is_name
    return Text(written, style=_STYLES.get(written, "") if is_styled else "", no_wrap=True, overflow="ellipsis")


def _written(column: TableColumn, value: object, zone: ZoneInfo) -> str:
    """Return a value as text in one line; an instant is in local time."""
    if value is None:
        return _NOTHING
    return " ".join(column.write(value.astimezone(zone) if isinstance(value, datetime) else value).split())


def _states(answer: Engagement, table: TextTable) -> str:
    """Count the rows of each state, including those that are not shown."""
    if table.state is None:
        return ""
    states = Counter(state for state in answer.table[table.state].to_pylist() if state)
    write = next(column.write for column in table.columns if column.name == table.state)
    return ", ".join(f"{number:,} {write(state)}" for state, number in states.most_common())


def _activity(rows: Sequence[Row], characters: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    fields = {"visits": "visits", "members": "member_visits", "guests": "guest_visits"}
    if characters >= _NARROW_CHARACTERS:
        fields |= {"people": "people", "matters": "matters"}
    for heading in ("from", "hours", *fields):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    bar = max(0, min(_BAR_CHARACTERS, characters - _ACTIVITY_CHARACTERS))
    most = max((row["visits"] for row in rows), default=0)
    for row in rows:
        table.add_row(
            f"{row['begins_on']:%a %Y-%m-%d}",
            f"{row['hours']:,.4g}",
            *(f"{row[field]:,}" for field in fields.values()),
            "█" * _share(row["visits"], most, bar),
        )
    return table


def _week(rows: Sequence[Row], characters: int) -> Text:
    """Draw a grid of weekday and hour, darker where more visits began."""
    wide = 3 if characters >= _NARROW_CHARACTERS else 2
    most = max(row["visits"] for row in rows)
    grid = Text(
        "\n    " + "".join(f"{hour:<{2 * wide}}" for hour in range(0, 24, 2)) + "\n", no_wrap=True, overflow="crop"
    )
    for day, name in enumerate(_WEEKDAYS):
        shares = (_share(row["visits"], most, len(_SHADES) - 1) for row in rows[24 * day : 24 * day + 24])
        grid.append(f"{name} " + " ".join(_SHADES[share] * (wide - 1) for share in shares) + "\n")
    grid.append(f"{_SHADES[-1] * 2} is up to {most:,} visits\n")
    return grid


def _share(part: int, most: int, steps: int) -> int:
    """Return the part's number of steps, rounded up: 0 only for 0."""
    return -(-part * steps // most) if most else 0


# Analysis -> function that draws its rows, as wide as the terminal, instead of a list of columns.
DRAWN: Final[Mapping[str, Callable[[Sequence[Row], int], Table | Text]]] = MappingProxyType(
    {ACTIVITY.name: _activity, WEEKDAY_HOURS.name: _week}
)
