"""The picture of users: the most active, and how many are new or have gone quiet."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import altair as alt

from matterlog.report.charts.findings import counted, share
from matterlog.report.charts.look import GUESTS, MEMBERS, USER_TYPES, WIDTH
from matterlog.report.charts.names import labels, plain
from matterlog.report.charts.picture import Ask, Panel, Picture, Row, Table, compose, context_of, nothing, noun_of
from matterlog.report.charts.tips import over_rows, tipped
from matterlog.report.engagement.analyses.users import USERS
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket

_SHOWN: Final = 15
_LABEL_WIDTH: Final = 30
_NAME_WIDTH: Final = 200
_SAID_WIDTH: Final = 190
_CHART_WIDTH: Final = WIDTH - _NAME_WIDTH - _SAID_WIDTH
_BAR_HEIGHT: Final = 22
_GROUP_HEIGHT: Final = 36
_STATUSES: Final = ("new", "returning", "gone quiet", "long quiet")
# All time has no new or quiet users; users are grouped by when they were last seen. Days, the last one included.
_LAST_SEEN: Final = (
    ("in the last 7 days", 6),
    ("8 to 30 days ago", 29),
    ("31 to 90 days ago", 89),
    ("longer ago", None),
)


def draw_users(request: EngagementRequest, ask: Ask, _by: Bucket | None = None) -> Picture:
    """Draw the most active users, and how many are new, returning or gone quiet."""
    answer = ask(request.model_copy(update={"analysis": USERS.name}))
    users, noun = answer.table.to_pylist(), noun_of(request)
    came = [row for row in users if row["visits"]]
    if not came:
        return nothing(answer)
    # Each user's status; for all time, how long ago they were last seen.
    groups = [row["status"] or _last_seen(row["days_quiet"]) for row in users]
    counts = Counter(groups)
    titles = _finding(came, noun), _groups_finding(counts, users)
    top, by_group = _top_table(came[:_SHOWN], noun), _group_table(titles[1], users, groups)
    return compose(
        finding=titles[0],
        context=context_of(answer),
        panels=[_bars("Most active: full bars are members, hollow bars guests", top), _group_bars(by_group)],
        datasets={
            "top": tipped(_top(came[:_SHOWN], noun), top),
            "groups": _group_rows(users, groups),
            "of_groups": tipped([{"rank": rank} for rank in range(len(by_group.rows))], by_group),
        },
        tables=[top, by_group],
    )


def _finding(came: Sequence[Row], noun: str) -> str:
    visits = sum(row["visits"] for row in came)
    if len(came) <= _SHOWN:
        return f"{counted(len(came), 'user')}, {counted(visits, noun)}"
    part = share(sum(row["visits"] for row in came[:_SHOWN]), visits)
    return f"The {_SHOWN} most active of {len(came):,} users made {part} of {counted(visits, noun)}"


def _last_seen(days_quiet: int) -> str:
    return next(name for name, days in _LAST_SEEN if days is None or days_quiet <= days)


def _order(users: Sequence[Row]) -> Sequence[str]:
    return _STATUSES if users[0]["status"] else [name for name, _ in _LAST_SEEN]


def _groups_finding(counts: Counter[str], users: Sequence[Row]) -> str:
    if users[0]["status"]:
        return f"{counted(counts['new'], 'new user')}, {counts['gone quiet']:,} gone quiet since the period before"
    recent = counts[_LAST_SEEN[0][0]]
    return f"{recent:,} of {counted(len(users), 'user')} came {_LAST_SEEN[0][0]}"


def _top(users: Sequence[Row], noun: str) -> list[Row]:
    called = labels([(row["user_name"], row["user_ID"]) for row in users], _LABEL_WIDTH)
    return [
        {
            "name": name,
            "rank": rank,
            "who": _who(row),
            "visits": row["visits"],
            "said": f"{counted(row['visits'], noun)}, {counted(row['matters'], 'matter')}"
            + (", guest" if _who(row) == GUESTS else ""),
        }
        for rank, (name, row) in enumerate(zip(called, users, strict=True))
    ]


def _who(row: Row) -> str:
    return GUESTS if row["user_type"] == "Guest" else MEMBERS


def _group_rows(users: Sequence[Row], groups: Sequence[str]) -> list[Row]:
    counts = Counter((group, _who(row)) for group, row in zip(groups, users, strict=True))
    return [
        {
            "group": group,
            "rank": rank,
            "who": who,
            "people": counts[group, who],
            "said": f"{counts[group, who]:,} {who.lower()}",
        }
        for rank, group in enumerate(_order(users))
        for who in USER_TYPES
    ]


def _bars(title: str, table: Table) -> Panel:
    chart = alt.Chart(alt.NamedData("top")).encode(y=alt.Y("rank:O", axis=None))
    bars = [
        chart.transform_filter(f"datum.who == '{who}'")
        .mark_bar(style=style, height={"band": 0.7})
        .encode(x=alt.X("visits:Q", axis=None, scale=alt.Scale(nice=False)))
        for who, style in ((MEMBERS, "member-bar"), (GUESTS, "guest-bar"))
    ]
    names = chart.mark_text(style="said").encode(x=alt.value(-_NAME_WIDTH), text="name:N")
    said = chart.mark_text(style="said", dx=8).encode(x="visits:Q", text="said:N")
    pointed = over_rows(chart, table.columns, left=_NAME_WIDTH, right=_CHART_WIDTH + _SAID_WIDTH)
    return alt.layer(*bars, names, said, pointed).properties(
        title=title, width=_CHART_WIDTH, height=alt.Step(_BAR_HEIGHT)
    )


def _group_bars(table: Table) -> Panel:
    chart = alt.Chart(alt.NamedData("groups")).encode(
        y=alt.Y("rank:O", axis=None), yOffset=alt.YOffset("who:N", sort=USER_TYPES)
    )
    bars = [
        chart.transform_filter(f"datum.who == '{who}' && datum.people > 0")
        .mark_bar(style=style, height={"band": 0.75})
        .encode(x=alt.X("people:Q", axis=None, scale=alt.Scale(nice=False)))
        for who, style in ((MEMBERS, "member-bar"), (GUESTS, "guest-bar"))
    ]
    said = chart.mark_text(style="said", dx=8, dy=5).encode(x="people:Q", text="said:N")
    names = (
        alt.Chart(alt.NamedData("groups"))
        .transform_filter(f"datum.who == '{MEMBERS}'")
        .mark_text(style="said")
        .encode(y=alt.Y("rank:O", axis=None), x=alt.value(-_NAME_WIDTH), text="group:N")
    )
    groups = alt.Chart(alt.NamedData("of_groups")).encode(y=alt.Y("rank:O", axis=None))
    pointed = over_rows(groups, table.columns, left=_NAME_WIDTH, right=_CHART_WIDTH + _SAID_WIDTH)
    panel = alt.layer(*bars, said, names, pointed)
    return panel.properties(title=table.caption, width=_CHART_WIDTH, height=4 * _GROUP_HEIGHT)


def _top_table(users: Sequence[Row], noun: str) -> Table:
    return Table(
        caption="Most active",
        columns=("User", "ID", "Type", f"{noun.capitalize()}s", "Matters", "Active days", "Last view (UTC)"),
        rows=tuple(
            (
                plain(row["user_name"]),
                plain(row["user_ID"]),
                row["user_type"],
                *(f"{row[column]:,}" for column in ("visits", "matters", "active_days")),
                f"{row['last_view_at']:%Y-%m-%d %H:%M}",
            )
            for row in users
        ),
    )


def _group_table(caption: str, users: Sequence[Row], groups: Sequence[str]) -> Table:
    counts = {(row["group"], row["who"]): row["people"] for row in _group_rows(users, groups)}
    rows = tuple((group, *(f"{counts[group, who]:,}" for who in USER_TYPES)) for group in _order(users))
    return Table(caption=caption, columns=("Users", *USER_TYPES), rows=rows)
