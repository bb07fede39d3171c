"""The picture of clients: the health of outside parties, compared with the period before."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import altair as alt

from matterlog.report.charts.findings import counted, day_of, listed, share
from matterlog.report.charts.look import WIDTH
from matterlog.report.charts.names import labels, plain
from matterlog.report.charts.picture import Ask, Panel, Picture, Row, Table, compose, context_of, nothing, noun_of
from matterlog.report.charts.tips import over_rows, tipped
from matterlog.report.engagement.analyses.clients import CLIENTS
from matterlog.report.engagement.engagement import Engagement, EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket

_SHOWN: Final = 20
_LABEL_WIDTH: Final = 30
_NAME_WIDTH: Final = 200
_SAID_WIDTH: Final = 210
_CHART_WIDTH: Final = WIDTH - _NAME_WIDTH - _SAID_WIDTH
_ROW_HEIGHT: Final = 22
# Worst news first; each has a shape and a word beside its colour.
_HEALTHS: Final = ("gone quiet", "cooling", "never came", "active")
_TROUBLES: Final = _HEALTHS[:3]
_SHAPES: Final = {"active": "circle", "cooling": "triangle-down", "gone quiet": "cross"}
_PUBLIC_MAIL: Final = "public mail"


def draw_clients(request: EngagementRequest, ask: Ask, _by: Bucket | None = None) -> Picture:
    """Draw each client's visits in this period and the one before, and how many clients have each health."""
    answer = ask(request.model_copy(update={"analysis": CLIENTS.name}))
    clients = [row for row in answer.table.to_pylist() if row["client_kind"] != _PUBLIC_MAIL]
    if not clients:
        return nothing(answer)
    noun = noun_of(request)
    shown = _chosen(clients)
    bounded = answer.facts.before_since is not None
    counts = Counter(row["health"] for row in clients if row["health"])
    table = _table(shown, noun)
    panels = [_changes(_changes_title(len(clients), shown, bounded=bounded), noun, table)]
    datasets = {"clients": tipped(_rows(shown, noun, bounded=bounded), table)}
    if counts:
        panels.insert(0, _health_bars())
        datasets["health"] = [
            {"health": health, "rank": rank, "clients": counts[health], "said": f"{counts[health]:,}"}
            for rank, health in enumerate(_HEALTHS)
        ]
    return compose(
        finding=_finding(clients, counts, noun),
        context=context_of(answer, "visits by guests", *_apart(answer)),
        panels=panels,
        datasets=datasets,
        tables=[table],
    )


def _chosen(clients: Sequence[Row]) -> list[Row]:
    """Return the clients that are not active, then the others; the busiest in either period come first.

    A client that went quiet was busy before.
    """
    by_weight = sorted(clients, key=lambda row: max(row["visits"], row["visits_before"] or 0), reverse=True)
    troubled = [row for health in _TROUBLES for row in by_weight if row["health"] == health][: _SHOWN // 2]
    others = [row for row in by_weight if row["health"] not in _TROUBLES]
    return (troubled + others)[:_SHOWN]


def _apart(answer: Engagement) -> list[str]:
    people = sum(row["people"] for row in answer.table.to_pylist() if row["client_kind"] == _PUBLIC_MAIL)
    addresses = "a public mail address belongs" if people == 1 else "public mail addresses belong"
    return [f"{counted(people, 'guest')} with {addresses} to no client"] if people else []


def _finding(clients: Sequence[Row], counts: Counter[str], noun: str) -> str:
    total = counted(len(clients), "client")
    if counts["active"] == len(clients):
        return "The one client is active" if len(clients) == 1 else f"All {total} are active"
    troubled = [f"{counts[health]:,} {_verb(health, counts[health])}" for health in _TROUBLES if counts[health]]
    if troubled:
        return f"Of {total}, {listed(troubled)}"
    most = sorted((row["visits"] for row in clients), reverse=True)
    if not sum(most):
        return f"{total}, no {noun}"
    if len(clients) <= 5:  # noqa: PLR2004 - as many as are summed below
        return f"{total}, {counted(sum(most), noun)}"
    return f"The busiest 5 of {total} made {share(sum(most[:5]), sum(most))} of {counted(sum(most), noun)}"


def _verb(health: str, number: int) -> str:
    match health:
        case "gone quiet":
            return f"{'has' if number == 1 else 'have'} gone quiet"
        case "cooling":
            return f"{'is' if number == 1 else 'are'} cooling"
        case _:
            return health


def _changes_title(clients: int, shown: Sequence[Row], *, bounded: bool) -> str:
    some = len(shown) < clients
    if any(row["health"] in _TROUBLES for row in shown):
        which = "Clients that are not active first, then the busiest" if some else "Clients that are not active first"
    else:
        which = f"The {len(shown)} busiest" if some else "Each client"
    return f"{which} (ring: the period before, filled: this period)" if bounded else f"{which}, all time"


def _rows(shown: Sequence[Row], noun: str, *, bounded: bool) -> list[Row]:
    called = labels([(row["client_name"], row["client_ID"]) for row in shown], _LABEL_WIDTH)
    return [
        {
            "client": name,
            "rank": rank,
            "visits": row["visits"],
            "before": row["visits_before"] if bounded else None,
            "health": row["health"] if row["health"] in _SHAPES else "active" if row["health"] is None else None,
            "said": _said(row, noun, bounded=bounded),
        }
        for rank, (name, row) in enumerate(zip(called, shown, strict=True))
    ]


def _said(row: Row, noun: str, *, bounded: bool) -> str:
    if row["health"] == "never came":
        return "never came"
    if not bounded:
        return f"{counted(row['visits'], noun)}, last seen {day_of(row['last_view_at'].date())}"
    return f"{counted(row['visits'], noun)}, before {row['visits_before']:,}: {row['health']}"


def _changes(title: str, noun: str, table: Table) -> Panel:
    chart = alt.Chart(alt.NamedData("clients")).encode(y=alt.Y("rank:O", axis=None))
    axis = alt.Axis(title=f"{noun.capitalize()}s", format=",d", tickMinStep=1, tickCount=5, domain=False, ticks=False)
    visits = alt.X("visits:Q", axis=axis)
    kinds = list(_SHAPES)
    sign = {
        "color": alt.Color("health:N", scale=alt.Scale(domain=kinds, range="ordinal"), legend=None),
        "shape": alt.Shape("health:N", scale=alt.Scale(domain=kinds, range=list(_SHAPES.values())), legend=None),
    }
    known = chart.transform_filter("isValid(datum.before)")
    return alt.layer(
        known.mark_rule(style="change").encode(x=visits, x2="before:Q"),
        known.mark_point(style="before", size=60).encode(x=alt.X("before:Q")),
        chart.transform_filter("isValid(datum.health)")
        .mark_point(filled=True, size=75, opacity=1)
        .encode(x=visits, **sign),
        chart.mark_text(style="said").encode(x=alt.value(-_NAME_WIDTH), text="client:N"),
        chart.mark_text(style="said").encode(x=alt.value(_CHART_WIDTH + 12), text="said:N"),
        over_rows(chart, table.columns, left=_NAME_WIDTH, right=_CHART_WIDTH + _SAID_WIDTH),
    ).properties(title=title, width=_CHART_WIDTH, height=alt.Step(_ROW_HEIGHT))


def _health_bars() -> Panel:
    chart = alt.Chart(alt.NamedData("health")).encode(y=alt.Y("rank:O", axis=None))
    bars = chart.mark_bar(style="member-bar", height={"band": 0.7}).encode(
        x=alt.X("clients:Q", axis=None, scale=alt.Scale(nice=False))
    )
    names = chart.mark_text(style="said").encode(x=alt.value(-_NAME_WIDTH), text="health:N")
    said = chart.mark_text(style="said", dx=8).encode(x="clients:Q", text="said:N")
    return alt.layer(bars, names, said).properties(
        title="Clients by health", width=_CHART_WIDTH, height=alt.Step(_ROW_HEIGHT)
    )


def _table(shown: Sequence[Row], noun: str) -> Table:
    figures = ("visits", "visits_before", "matters", "people", "people_known")
    return Table(
        caption="Clients",
        columns=("Client", "ID", f"{noun.capitalize()}s", "Before", "Matters", "People", "People known", "Health"),
        rows=tuple(
            (
                plain(row["client_name"]),
                plain(row["client_ID"]),
                *("" if row[column] is None else f"{row[column]:,}" for column in figures),
                row["health"] or "",
            )
            for row in shown
        ),
    )
