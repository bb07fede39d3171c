"""The picture of matters: the busiest and the quietest, each with its own line over time."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Final

import altair as alt

from matterlog.report.charts.activity import by_user_type, check_room, days_axis, points_of, suitable_bucket
from matterlog.report.charts.findings import bucket_of, counted, day_of, listed, share
from matterlog.report.charts.look import GUESTS, MEMBERS, USER_TYPES
from matterlog.report.charts.names import labels, plain
from matterlog.report.charts.picture import Ask, Panel, Picture, Row, Table, compose, context_of, nothing, noun_of
from matterlog.report.charts.tips import over_columns
from matterlog.report.engagement.analyses.analysis_spec import MARKS
from matterlog.report.engagement.analyses.matters import MATTER_ACTIVITY, MATTERS
from matterlog.report.engagement.engagement import Engagement, EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket

# How many busiest and how many quietest matters fit on one page.
_SHOWN: Final = 8
_LABEL_WIDTH: Final = 34
_NAME_WIDTH: Final = 220
_COURSE_WIDTH: Final = 300
_TICKS: Final = 5
_ROW_HEIGHT: Final = 30
_BY_USER_TYPE: Final = {MEMBERS: "member_visits", GUESTS: "guest_visits"}


def draw_matters(request: EngagementRequest, ask: Ask, by: Bucket | None = None) -> Picture:
    """Draw the busiest and the quietest matters as small multiples, with lines for members and guests.

    Raises:
        InvalidFilter: the period has too many buckets for a picture.
    """
    answer = ask(request.model_copy(update={"analysis": MATTERS.name}))
    if not answer.facts.visits:
        return nothing(answer)
    matters = answer.table.to_pylist()
    busiest, quietest = _chosen(matters)
    by = by or suitable_bucket(answer)
    course = _course(request, ask, [*busiest, *quietest], by)
    # A matter that was purged between the two questions is not shown.
    remaining = {row["matter_ID"] for row in course}
    busiest, quietest = ([row for row in rows if row["matter_ID"] in remaining] for rows in (busiest, quietest))
    noun, begins = noun_of(request), sorted({row["begins_on"] for row in course})
    check_room(len(begins), by)
    on_scale = "The busiest, each line on its own scale" if quietest else "Each line on its own scale"
    both = (("busiest", on_scale, busiest), ("quietest", _quiet_title(matters, quietest, noun), quietest))
    parts = [(name, title, rows) for name, title, rows in both if rows]
    return compose(
        finding=_finding(matters, busiest, noun),
        context=context_of(answer, *_marked(matters)),
        panels=[_small_multiples(answer, name, title, begins, by) for name, title, _ in parts],
        datasets={name: _series(answer, rows, course, by, name) for name, _, rows in parts},
        tables=[_table(title, rows) for _, title, rows in parts],
        zooms=True,
    )


def _chosen(matters: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the busiest matters, most visits first, and the quietest, fewest visits and oldest last view first."""
    half = min(_SHOWN, -(-len(matters) // 2))
    busiest = [row for row in matters[:half] if row["visits"]]
    rest = sorted(matters[len(busiest) :], key=lambda row: (row["visits"], row["last_view_at"]))
    return busiest, rest[:_SHOWN]


def _course(request: EngagementRequest, ask: Ask, matters: Sequence[Row], by: Bucket) -> list[Row]:
    """Ask for the chosen matters over time, with the rest of the filter unchanged."""
    chosen = request.filter.model_copy(update={"matters": tuple(row["matter_ID"] for row in matters)})
    asked = {"analysis": MATTER_ACTIVITY.name, "filter": chosen, "by": by}
    rows: list[Row] = ask(request.model_copy(update=asked)).table.to_pylist()
    return rows


def _finding(matters: Sequence[Row], busiest: Sequence[Row], noun: str) -> str:
    visits = sum(row["visits"] for row in matters)
    if len(matters) == 1:
        return f"One matter, {counted(visits, noun)}"
    part = share(sum(row["visits"] for row in busiest), visits)
    which = "The busiest" if len(busiest) == 1 else f"The busiest {len(busiest)}"
    have = "has" if len(busiest) == 1 else "have"
    return f"{which} of {len(matters):,} matters {have} {part} of {counted(visits, noun)}"


def _quiet_title(matters: Sequence[Row], quietest: Sequence[Row], noun: str) -> str:
    silent = sum(row["visits"] == 0 for row in matters)
    if silent:
        shown = "" if silent <= len(quietest) else ", the longest unseen first"
        return f"The quietest: {silent:,} of {counted(len(matters), 'matter')} had no {noun}s{shown}"
    most = max((row["visits"] for row in quietest), default=0)
    return f"The quietest: at most {counted(most, noun)} each"


def _marked(matters: Sequence[Row]) -> list[str]:
    """Say how many matters are not as usual in the last week, compared with their own weeks before."""
    times = Counter(row["mark"] for row in matters)
    unusual = [f"{times[mark]:,} {MARKS[mark]}" for mark in ("bursting", "busy", "quiet") if times[mark]]
    return [f"in the last 7 days {listed(unusual)}"] if unusual else []


def _series(answer: Engagement, matters: Sequence[Row], course: Sequence[Row], by: Bucket, part: str) -> list[Row]:
    """Return the rows of one part of the picture, each matter on its own scale."""
    called = labels([(row["matter_name"], row["matter_ID"]) for row in matters], _LABEL_WIDTH)
    series = []
    for rank, matter in enumerate(matters):
        own = [row for row in course if row["matter_ID"] == matter["matter_ID"]]
        most = max((row[column] for row in own for column in _BY_USER_TYPE.values()), default=0)
        said = _said(matter, noun_of(answer.request), part)
        series += [
            {
                "matter": called[rank],
                "rank": rank,
                "begins_on": row["begins_on"].isoformat(),
                "who": who,
                "visits": row[column],
                "height": row[column] / max(most, 1),
                "said": said if index == 0 and who == MEMBERS else None,
                **(_tip(matter, row, by) if who == MEMBERS else {}),
            }
            for index, row in enumerate(own)
            for who, column in _BY_USER_TYPE.items()
        ]
    return series


def _tip(matter: Row, row: Row, by: Bucket) -> Row:
    figures = (f"{row[column]:,}" for column in _BY_USER_TYPE.values())
    cells = (plain(matter["matter_name"]), bucket_of(row["begins_on"], by), *figures)
    return {f"tip_{index}": cell for index, cell in enumerate(cells)}


def _said(matter: Row, noun: str, part: str) -> str:
    if part == "quietest" or not matter["visits"]:
        seen = f"last seen {day_of(matter['last_view_at'].date())}"
        return f"{counted(matter['visits'], noun)}, {seen}" if matter["visits"] else f"none, {seen}"
    mark = [MARKS[matter["mark"]]] if matter["mark"] not in {None, "normal"} else []
    return ", ".join([counted(matter["visits"], noun), counted(matter["people"], "person", "people"), *mark])


def _small_multiples(answer: Engagement, name: str, title: str, begins: Sequence[date], by: Bucket) -> Panel:
    days = days_axis(begins, by, f"{by.capitalize()}, {answer.request.timezone}", ticks=_TICKS, zooms=True)
    color, dash = by_user_type()
    chart = alt.Chart(width=_COURSE_WIDTH, height=_ROW_HEIGHT)
    course = chart.encode(
        x=days,
        y=alt.Y(
            "height:Q",
            # Without padding, half of the line's width would be clipped at its highest and its lowest point.
            scale=alt.Scale(domain=[0, 1], padding=1),
            axis=alt.Axis(title=None, values=[0], labels=False, domain=False, ticks=False, minExtent=0),
        ),
        color=color,
    )
    lines = course.mark_line(strokeWidth=1.5, clip=True).encode(strokeDash=dash)
    # A single bucket draws no line.
    points = points_of(course) if len(begins) == 1 else []
    # One tip for members and guests together.
    each = chart.transform_filter("isValid(datum.tip_0)").encode(x=days)
    columns = ("Matter", by.capitalize(), *USER_TYPES)
    pointed = over_columns(each, columns, begins=begins, width=_COURSE_WIDTH, height=_ROW_HEIGHT, zooms=True)
    beside = chart.transform_filter("isValid(datum.said)").encode(y=alt.value(_ROW_HEIGHT / 2)).mark_text(style="said")
    texts = [
        beside.encode(x=alt.value(x), text=text)
        for x, text in ((-_NAME_WIDTH, "matter:N"), (_COURSE_WIDTH + 10, "said:N"))
    ]
    panel = alt.layer(lines, *points, *texts, pointed, data=alt.NamedData(name))
    return panel.facet(row=alt.Row("rank:O", header=alt.Header(labels=False, title=None)), spacing=10).properties(
        title=title
    )


def _table(caption: str, matters: Sequence[Row]) -> Table:
    return Table(
        caption=caption,
        columns=("Matter", "ID", "Visits", "Members' visits", "Guests' visits", "People", "Last view (UTC)", "Mark"),
        rows=tuple(
            (
                plain(row["matter_name"]),
                plain(row["matter_ID"]),
                *(f"{row[column]:,}" for column in ("visits", "member_visits", "guest_visits", "people")),
                f"{row['last_view_at']:%Y-%m-%d %H:%M}",
                MARKS.get(row["mark"], ""),
            )
            for row in matters
        ),
    )
