"""The picture of activity: members and guests over time, and the hours of the week."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import altair as alt

from matterlog.report.charts.findings import bucket_of, busiest, counted, share
from matterlog.report.charts.look import DASHES, GUESTS, MEMBERS, USER_TYPES, WIDTH
from matterlog.report.charts.picture import (
    SHOWN_DAYS,
    SHOWN_TICKS,
    Ask,
    Panel,
    Picture,
    Row,
    Table,
    compose,
    context_of,
    nothing,
    noun_of,
)
from matterlog.report.charts.tips import AXIS_PADDING, over_columns, tipped
from matterlog.report.engagement.analyses.activity import ACTIVITY, WEEKDAY_HOURS
from matterlog.report.engagement.engagement import Engagement, EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket, following
from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import beginning_of

# The width has room for about two months of days, or about two years of weeks.
_MOST_DAYS: Final = 62
_MOST_WEEKS: Final = 106
_MOST_BUCKETS: Final = 2_000
# With at most this many buckets, each one gets a point.
_MOST_POINTS: Final = 40
_MOST_TICKS: Final = 10
_HEIGHT: Final = 220
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# From this share of the maximum on, numbers have the other colour: at this share both have a contrast of about 4 to 1.
_DARK_FROM: Final = 0.6


def draw_activity(request: EngagementRequest, ask: Ask, by: Bucket | None = None) -> Picture:
    """Draw views over time and the heat map of the week; without ``by`` the buckets suit the period.

    Raises:
        InvalidFilter: the period has too many buckets for a picture.
    """
    hours = ask(request.model_copy(update={"analysis": WEEKDAY_HOURS.name}))
    by = by or suitable_bucket(hours)
    answer = ask(request.model_copy(update={"analysis": ACTIVITY.name, "by": by}))
    check_room(answer.table.num_rows, by)
    if not answer.facts.visits:
        return nothing(answer)
    rows, cells, noun = answer.table.to_pylist(), hours.table.to_pylist(), noun_of(request)
    guests = sum(row["guest_visits"] for row in rows)
    series = _series(answer, rows)
    unfinished = any(row["unfinished"] for row in series)
    over_time = _over_time_table(rows, by, _busiest_bucket(rows, by, noun))
    of_week = busiest([(_hour_of(cell), cell["visits"]) for cell in cells], unit="hour", noun=noun)
    columns = tipped([{"begins_on": row["begins_on"].isoformat()} for row in rows], over_time)
    return compose(
        finding=_shares(answer.facts.visits, guests, noun),
        context=context_of(answer, *((f"a ring marks an incomplete {by}",) if unfinished else ())),
        panels=[_over_time(answer, rows, over_time), _heat_map(request, cells, of_week)],
        datasets={"over_time": series, "columns": columns, "hours": _cells(cells, noun)},
        tables=[over_time, _hours_table(cells, of_week)],
    )


def suitable_bucket(answer: Engagement) -> Bucket:
    """Return days for a short period, weeks for a longer one, months for years."""
    days = (answer.facts.until - answer.facts.since) / timedelta(days=1)
    return Bucket.DAY if days <= _MOST_DAYS else Bucket.WEEK if days <= 7 * _MOST_WEEKS else Bucket.MONTH


def check_room(number: int, by: Bucket) -> None:
    """Raise InvalidFilter for more buckets than fit in a picture."""
    if number > _MOST_BUCKETS:
        raise InvalidFilter(f"{number:,} {by}s do not fit in a picture: choose longer steps or a shorter period")


def days_axis(
    begins: Sequence[date], by: Bucket, title: str, *, ticks: int = _MOST_TICKS, zooms: bool = False
) -> alt.X:
    """Return a time axis with at most ``ticks`` ticks, each where a bucket begins; ``zooms`` lets a page zoom it."""
    step = -(-len(begins) // ticks)
    values = [int(datetime.combine(day, time.min, UTC).timestamp() * 1000) for day in begins[::step]]
    pattern = "%b %Y" if by is Bucket.MONTH else "%-d %b" if begins[0].year == begins[-1].year else "%-d %b %y"
    # In UTC, because the dates are already those of the time zone; the viewer's own zone must not move them.
    # An expression, because Vega-Lite writes a list as dates, which the interpreter of a page without eval misreads.
    where = alt.ExprRef(f"{SHOWN_TICKS} || {values}" if zooms else str(values))
    axis = alt.Axis(title=title, values=where, format=pattern, grid=False, labelFlush=False)
    scale = alt.Scale(type="utc", padding=AXIS_PADDING, **({"domainRaw": alt.ExprRef(SHOWN_DAYS)} if zooms else {}))
    return alt.X("begins_on:T", scale=scale, axis=axis)


def _shares(visits: int, guests: int, noun: str) -> str:
    if guests in {0, visits}:
        return f"{counted(visits, noun)}, all by {'guests' if guests else 'members'}"
    return f"{counted(visits, noun)}, {share(guests, visits)} of them by guests"


def _busiest_bucket(rows: Sequence[Row], by: Bucket, noun: str) -> str:
    if len(rows) == 1:
        return f"{bucket_of(rows[0]['begins_on'], by)}: {counted(rows[0]['visits'], noun)}"
    return busiest([(bucket_of(row["begins_on"], by), row["visits"]) for row in rows], unit=str(by), noun=noun)


def _hour_of(cell: Row) -> str:
    return f"{_WEEKDAYS[cell['weekday'] - 1]} {cell['hour']:02}:00"


def _series(answer: Engagement, rows: Sequence[Row]) -> list[Row]:
    return [
        {
            "begins_on": row["begins_on"].isoformat(),
            "who": who,
            "visits": row[column],
            "unfinished": _is_unfinished(row["begins_on"], answer),
        }
        for who, column in ((MEMBERS, "member_visits"), (GUESTS, "guest_visits"))
        for row in rows
    ]


def _is_unfinished(begins_on: date, answer: Engagement) -> bool:
    """Return whether a part of the bucket is outside the period, or not over yet."""
    zone, facts = answer.request.zone, answer.facts
    ends = beginning_of(following(begins_on, answer.request.by), zone)
    return beginning_of(begins_on, zone) < facts.since or min(facts.until, answer.request.now) < ends


def _over_time(answer: Engagement, rows: Sequence[Row], table: Table) -> Panel:
    by, noun = answer.request.by, noun_of(answer.request)
    color, dash = by_user_type()
    begins = [row["begins_on"] for row in rows]
    days = days_axis(begins, by, f"{by.capitalize()}, {answer.request.timezone}")
    chart = alt.Chart(alt.NamedData("over_time")).encode(
        x=days, y=alt.Y("visits:Q", axis=_whole_numbers(rows, f"{noun.capitalize()}s a {by}")), color=color
    )
    lines = chart.mark_line(strokeWidth=2).encode(strokeDash=dash)
    rings = chart.mark_point(filled=False, size=120, opacity=1, strokeWidth=1.5).transform_filter("datum.unfinished")
    points = points_of(chart) if len(rows) <= _MOST_POINTS else []
    columns = alt.Chart(alt.NamedData("columns")).encode(x=days)
    pointed = over_columns(columns, table.columns, begins=begins, width=WIDTH, height=_HEIGHT)
    return alt.layer(lines, rings, *points, pointed).properties(width=WIDTH, height=_HEIGHT, title=table.caption)


def points_of(chart: alt.Chart) -> list[alt.Chart]:
    """Return a point for each value of a line, filled for members and hollow for guests."""
    return [
        chart.transform_filter(f"datum.who == '{who}'").mark_point(filled=who == MEMBERS, size=28, opacity=1)
        for who in USER_TYPES
    ]


def by_user_type() -> tuple[alt.Color, alt.StrokeDash]:
    """Return the colours and dashes of members and guests, with one legend for both."""
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=400, offset=4)
    return (
        alt.Color("who:N", scale=alt.Scale(domain=USER_TYPES), legend=legend),
        alt.StrokeDash("who:N", scale=alt.Scale(domain=USER_TYPES, range=DASHES), legend=legend),
    )


def _whole_numbers(rows: Sequence[Row], title: str) -> alt.Axis:
    most = max(max(row["member_visits"], row["guest_visits"]) for row in rows)
    return alt.Axis(title=title, format=",d", tickCount=min(5, most), tickMinStep=1, domain=False, ticks=False)


def _cells(cells: Sequence[Row], noun: str) -> list[Row]:
    most = max(cell["visits"] for cell in cells)
    return [
        {
            "day": _WEEKDAYS[cell["weekday"] - 1][:3],
            "hour": f"{cell['hour']:02}",
            "when": _hour_of(cell),
            "visits": cell["visits"],
            "short": _short(cell["visits"]),
            "said": counted(cell["visits"], noun),
            "dark": cell["visits"] >= _DARK_FROM * most,
            "busiest": cell["visits"] == most,
        }
        for cell in cells
    ]


def _short(visits: int) -> str:
    """Format a number in at most four characters, rounded down; 0 is empty."""
    for unit, sign in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if visits >= unit:
            whole, tenth = visits // unit, visits * 10 // unit % 10
            return f"{whole}.{tenth}{sign}" if whole < 10 and tenth else f"{whole}{sign}"  # noqa: PLR2004 - a digit
    return str(visits) if visits else ""


def _heat_map(request: EngagementRequest, cells: Sequence[Row], title: str) -> Panel:
    most = max(cell["visits"] for cell in cells)
    noun = f"{noun_of(request).capitalize()}s"
    chart = alt.Chart(alt.NamedData("hours")).encode(
        x=alt.X("hour:O", axis=alt.Axis(title=f"Starting hour, {request.timezone}", labelAngle=0, ticks=False)),
        y=alt.Y("day:O", sort=[day[:3] for day in _WEEKDAYS], axis=alt.Axis(title=None, ticks=False, minExtent=62)),
    )
    squares = chart.mark_rect(cornerRadius=1).encode(
        color=alt.Color("visits:Q", scale=alt.Scale(domain=[0, most]), legend=None),
        tooltip=[alt.Tooltip("when:N", title="From"), alt.Tooltip("visits:Q", title=noun, format=",")],
    )
    outline = chart.transform_filter("datum.busiest").mark_rect(style="busiest")
    numbers = [
        chart.transform_filter(f"{sign}datum.dark").mark_text(style=style).encode(text="short:N")
        for sign, style in (("", "on-high"), ("!", "on-low"))
    ]
    return alt.layer(squares, outline, *numbers).properties(width=WIDTH, height=180, title=title)


def _over_time_table(rows: Sequence[Row], by: Bucket, caption: str) -> Table:
    shown = ("member_visits", "guest_visits", "people", "matters")
    return Table(
        caption=caption,
        columns=(by.capitalize(), MEMBERS, GUESTS, "People", "Matters"),
        rows=tuple((bucket_of(row["begins_on"], by), *(f"{row[name]:,}" for name in shown)) for row in rows),
    )


def _hours_table(cells: Sequence[Row], caption: str) -> Table:
    visits = {(cell["weekday"], cell["hour"]): cell["visits"] for cell in cells}
    return Table(
        caption=caption,
        columns=("Hour", *_WEEKDAYS),
        rows=tuple(
            (f"{hour:02}:00", *(f"{visits.get((day, hour), 0):,}" for day in range(1, 8))) for hour in range(24)
        ),
    )
