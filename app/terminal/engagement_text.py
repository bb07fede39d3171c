"""Engagement tables for people to read: as wide as the terminal, with what they rest on above and the rule below."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from matterlog.report.engagement.engagement import Analysis, Engagement

Row = Mapping[str, Any]

_NOTHING: Final = "-"
_SHADES: Final = " ░▒▓█"
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_BAR_CHARACTERS: Final = 24
# Below this many characters there is no room for the spare columns.
_NARROW_CHARACTERS: Final = 78
_NAME_CHARACTERS: Final = 10
# What the columns of activity take without the bar, up to a million visits a bucket.
_ACTIVITY_CHARACTERS: Final = 68
# Each state's style says what its word says already: nothing is lost without colours.
_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("gone quiet", "long quiet", "quiet", "cooling", "never came"), "yellow"),
        **dict.fromkeys(("new", "busy"), "green"),
        "bursting": "bold green",
    }
)
_STATE_OF: Final = {Analysis.USERS: "status", Analysis.MATTERS: "mark", Analysis.CLIENTS: "health"}
RULES: Final[Mapping[Analysis, str]] = MappingProxyType(
    {
        Analysis.USERS: "new: first view ever in this period; returning: seen earlier too; gone quiet: seen in the "
        "period before, not in this one; long quiet: in neither.",
        Analysis.MATTERS: "The last 7 days against the median of up to 12 weeks before: quiet from 2 deviations below, "
        "busy from 2 above, bursting from 3.5; quiet also after 28 days without a visit; new with fewer than 4 weeks.",
        Analysis.CLIENTS: "gone quiet: no view in this period; cooling: at most half the visits of the period before, "
        "and fewer than chance explains; never came: expected, without a view.",
        Analysis.ACTIVITY: "A visit counts where it begins.",
        Analysis.WEEKDAY_HOURS: "A visit counts where it begins.",
    }
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people: how a row's cell reads. Where it is narrow the spare ones go, then names are cut."""

    heading: str
    cell: Callable[[Row, ZoneInfo], str]
    is_name: bool = False
    is_text: bool = False
    is_spare: bool = False


def _number(field: str) -> Callable[[Row, ZoneInfo], str]:
    return lambda row, _: _NOTHING if row[field] is None else f"{row[field]:,}"


def _text(field: str) -> Callable[[Row, ZoneInfo], str]:
    return lambda row, _: _NOTHING if row[field] is None else " ".join(str(row[field]).split())


def _day(field: str) -> Callable[[Row, ZoneInfo], str]:
    return lambda row, zone: _NOTHING if row[field] is None else f"{row[field].astimezone(zone):%Y-%m-%d}"


def _percent(field: str) -> Callable[[Row, ZoneInfo], str]:
    return lambda row, _: _NOTHING if row[field] is None else f"{row[field]:.0%}"


def _trend(row: Row, _: ZoneInfo) -> str:
    return _NOTHING if row["trend"] is None else f"{row['trend']:+.0%}"


def _hour(row: Row, _: ZoneInfo) -> str:
    return _NOTHING if row["busiest_hour"] is None else f"{row['busiest_hour']:02}h"


COLUMNS: Final[Mapping[Analysis, Sequence[Column]]] = MappingProxyType(
    {
        Analysis.USERS: (
            Column("user", _text("user_name"), is_name=True),
            Column("type", _text("user_type"), is_text=True),
            Column("visits", _number("visits")),
            Column("trend", _trend),
            Column("matters", _number("matters"), is_spare=True),
            Column("days", _number("active_days"), is_spare=True),
            Column("last view", _day("last_view_at")),
            Column("status", _text("status"), is_text=True),
        ),
        Analysis.MATTERS: (
            Column("matter", _text("matter_name"), is_name=True),
            Column("visits", _number("visits")),
            Column("trend", _trend),
            Column("people", _number("people")),
            Column("guests", _number("guests"), is_spare=True),
            Column("busiest day", _text("busiest_day"), is_spare=True),
            Column("hour", _hour, is_spare=True),
            Column("last view", _day("last_view_at")),
            Column("mark", _text("mark"), is_text=True),
        ),
        Analysis.CLIENTS: (
            Column("client", _text("client_name"), is_name=True),
            Column("visits", _number("visits")),
            Column("trend", _trend),
            Column("matters", _number("matters"), is_spare=True),
            Column("people", _number("people")),
            Column("reach", _percent("reach"), is_spare=True),
            Column("last view", _day("last_view_at")),
            Column("health", _text("health"), is_text=True),
        ),
    }
)


def print_engagement(console: Console, answer: Engagement, rows: int) -> None:
    """Print an answer; of a list at most so many rows, 0 for all. A list of days is cut at its beginning."""
    analysis = answer.request.analysis
    console.print(Text(_title(answer), style="bold"))
    console.print(Text(_rests_on(answer)))
    if (note := _note(answer)) is not None:
        console.print(Text(note, style="yellow"))
    all_rows = answer.table.to_pylist()
    shown = all_rows
    if rows and analysis is not Analysis.WEEKDAY_HOURS:
        shown = all_rows[-rows:] if analysis is Analysis.ACTIVITY else all_rows[:rows]
    match analysis:
        case Analysis.ACTIVITY:
            console.print(_activity(shown, console.width))
        case Analysis.WEEKDAY_HOURS:
            console.print(_week(shown, 3 if console.width >= _NARROW_CHARACTERS else 2))
        case _:
            console.print(_list(analysis, shown, answer.request.zone, console.width))
            if states := _states(answer):
                console.print(Text(states))
    if len(shown) < len(all_rows):
        console.print(f"{len(shown):,} of {len(all_rows):,} rows; --rows 0 shows all.")
    console.print(Text(RULES[analysis], style="dim"))


def _title(answer: Engagement) -> str:
    facts, zone = answer.facts, answer.request.zone
    subject = (
        "Weekday by hour" if answer.request.analysis is Analysis.WEEKDAY_HOURS else answer.request.analysis.title()
    )
    period = f"{_moment(facts.since, zone)} to {_last_moment(facts.until, zone)}, {answer.request.timezone}"
    before = facts.before_since
    return f"{subject}, {period}" + ("" if before is None else f"; the period before from {_moment(before, zone)}")


def _rests_on(answer: Engagement) -> str:
    facts, zone, request = answer.facts, answer.request.zone, answer.request
    visits = "each view counted" if request.raw_views else f"{facts.visits:,} visits"
    log = f"{facts.log_views:,} views of the log"
    if facts.log_since is not None and facts.log_until is not None:
        log += f" ({_moment(facts.log_since, zone)} to {_moment(facts.log_until, zone)})"
    demo = f"; {facts.demo_views_left_out:,} demo views left out" if facts.demo_views_left_out else ""
    if request.quiet_for_days is not None:
        return f"Not seen in the last {request.quiet_for_days} days, by the {log}{demo}."
    return f"Rests on {facts.views:,} ({visits}) of the {log}{demo}."


def _note(answer: Engagement) -> str | None:
    """Return what makes the comparison with the period before unsound."""
    facts = answer.facts
    if facts.before_since is None or facts.log_since is None or facts.log_since <= facts.before_since:
        return None
    return "The log begins after the period before does: who is new, and each trend, say less than they seem to."


def _moment(instant: datetime, zone: ZoneInfo) -> str:
    local = instant.astimezone(zone)
    return f"{local:%Y-%m-%d}" if local.time() == datetime.min.time() else f"{local:%Y-%m-%d %H:%M}"


def _last_moment(until: datetime, zone: ZoneInfo) -> str:
    """Return the last day where a period ends with it, as people say it."""
    ends_with_a_day = until.astimezone(zone).time() == datetime.min.time()
    return _moment(until, zone) if not ends_with_a_day else f"{until.astimezone(zone) - timedelta(days=1):%Y-%m-%d}"


def _list(analysis: Analysis, rows: Sequence[Row], zone: ZoneInfo, characters: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    columns = [column for column in COLUMNS[analysis] if characters >= _NARROW_CHARACTERS or not column.is_spare]
    for column in columns:
        justify: JustifyMethod = "left" if column.is_name or column.is_text else "right"
        narrowest = _NAME_CHARACTERS if column.is_name else None
        table.add_column(column.heading, justify=justify, no_wrap=not column.is_name, min_width=narrowest)
    for row in rows:
        table.add_row(*(_cell(column, row, zone) for column in columns))
    return table


def _cell(column: Column, row: Row, zone: ZoneInfo) -> Text:
    text = column.cell(row, zone)
    return Text(text, style=_STYLES.get(text, "") if column.is_text else "", no_wrap=True, overflow="ellipsis")


def _states(answer: Engagement) -> str:
    """Count the rows of each state, those that are not shown too."""
    states = Counter(state for state in answer.table[_STATE_OF[answer.request.analysis]].to_pylist() if state)
    return ", ".join(f"{number:,} {state}" for state, number in states.most_common())


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
    """Draw weekday by hour, each so many characters wide, darker where more visits began."""
    most = max(row["visits"] for row in rows)
    text = Text(
        "\n    " + "".join(f"{hour:<{2 * characters}}" for hour in range(0, 24, 2)) + "\n",
        no_wrap=True,
        overflow="crop",
    )
    for day, name in enumerate(_WEEKDAYS):
        shares = (_share(row["visits"], most, len(_SHADES) - 1) for row in rows[24 * day : 24 * day + 24])
        text.append(f"{name} " + " ".join(_SHADES[share] * (characters - 1) for share in shares) + "\n")
    text.append(f"{_SHADES[-1] * 2} is up to {most:,} visits in the period\n")
    return text


def _share(part: int, most: int, steps: int) -> int:
    """Return how many of the steps: none for nothing alone."""
    return -(-part * steps // most) if most else 0
