"""A picture: a finding, a Vega-Lite specification without colours, and the same figures as tables."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import altair as alt

from matterlog.report.charts.findings import counted, day_of, listed
from matterlog.report.charts.look import WIDTH, Look, configuration
from matterlog.report.engagement.engagement import Engagement, EngagementRequest
from matterlog.report.engagement.engagement_period import wall

# The parameters that a page sets to zoom, in milliseconds since 1970: the days shown, and the ticks.
SHOWN_DAYS: Final = "shown_days"
SHOWN_TICKS: Final = "shown_ticks"
_LINE_CHARACTERS: Final = 125
_NO_BREAK: Final = "\u00a0"
_MICROSECOND: Final = timedelta(microseconds=1)

# Answers an engagement request, from the owner of the log, a database, or a test.
Ask = Callable[[EngagementRequest], Engagement]
Row = dict[str, Any]
Panel = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The figures of a panel: its caption, its columns, and its rows as text."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of one subject.

    ``finding`` is its title. ``context`` says what was counted and when. Neither contains a name. ``body`` is a
    Vega-Lite specification with names only under ``datasets``.
    """

    finding: str
    context: str
    body: Mapping[str, Any]
    tables: tuple[Table, ...]

    def spec(self, look: Look = Look.LIGHT) -> dict[str, Any]:
        """Return the specification with the colours of a look, for Vega-Embed or a renderer."""
        return {**self.body, "config": configuration(look)}


def compose(
    *,
    finding: str,
    context: str,
    panels: Sequence[Panel],
    datasets: Mapping[str, Sequence[Mapping[str, Any]]],
    tables: Sequence[Table],
    zooms: bool = False,
) -> Picture:
    """Put panels below each other, under one title; ``zooms`` lets a page zoom all their time axes together."""
    # Lines break between statements, not inside one.
    lines = textwrap.wrap(context.replace(" ", _NO_BREAK).replace(f";{_NO_BREAK}", "; "), _LINE_CHARACTERS)
    title = alt.TitleParams(finding, subtitle=lines, fontSize=17, subtitleFontSize=12, offset=18)
    chart = alt.vconcat(*panels).resolve_scale(color="independent", shape="independent", strokeDash="independent")
    # Tests check every specification against Vega-Lite's schema. For each page this would take a quarter of its time.
    body = chart.properties(title=title, description=f"{finding}. {context}").to_dict(validate=False)
    if zooms:
        body["params"] = [{"name": name, "value": None} for name in (SHOWN_DAYS, SHOWN_TICKS)]
    body.pop("config", None)  # Altair's default; the look has the whole configuration
    named = {name: [dict(row) for row in rows] for name, rows in datasets.items()}
    return Picture(finding=finding, context=context, body={**body, "datasets": named}, tables=tuple(tables))


def nothing(answer: Engagement) -> Picture:
    facts = answer.facts
    if facts.log_since is None or facts.log_until is None:
        said = "The log holds no views yet."
    else:
        since, until = (day_of(wall(instant, answer.request.zone)) for instant in (facts.log_since, facts.log_until))
        said = f"The whole log holds {counted(facts.log_views, 'view')}, from {since} to {until}."
    panel = (
        alt.Chart(alt.NamedData("nothing"), width=WIDTH, height=60)
        .mark_text(style="nothing")
        .encode(x=alt.value(0), text="said:N")
    )
    return compose(
        finding=f"No {noun_of(answer.request)}s in this period",
        context=context_of(answer),
        panels=[panel],
        datasets={"nothing": [{"said": said}]},
        tables=[],
    )


def noun_of(request: EngagementRequest) -> str:
    return "view" if request.raw_views else "visit"


def context_of(answer: Engagement, *more: str) -> str:
    """Say what was counted, for which days, in which time zone, and what was left out."""
    request, facts = answer.request, answer.facts
    last_instant = max(facts.since, facts.until - _MICROSECOND)
    first, last = (wall(instant, request.zone).date() for instant in (facts.since, last_instant))
    days = day_of(first) if first == last else f"{day_of(first)} to {day_of(last)}"
    parts = [f"{noun_of(request).capitalize()}s, {days}, {request.timezone}", *_chosen(request), *more]
    if not request.filter.matter_types:
        left_out = f"{counted(facts.demo_views_left_out, 'view')} of " if facts.demo_views_left_out else ""
        parts.append("demo matters included" if request.include_demo else f"{left_out}demo matters left out")
    if facts.later_views_left_out:
        parts.append(f"{counted(facts.later_views_left_out, 'view')} later than today left out")
    return "; ".join(parts)


def _chosen(request: EngagementRequest) -> list[str]:
    """Describe the filter by numbers: a title contains no IDs and no names."""
    chosen = request.filter
    named = {"matter": chosen.matters, "user": chosen.users, "company": chosen.companies}
    parts = [
        counted(len(ids), f"chosen {one}", "chosen companies" if one == "company" else None)
        for one, ids in named.items()
        if ids
    ]
    kinds = (chosen.user_types, chosen.matter_types)
    return parts + [f"{listed([str(kind) for kind in group])} only" for group in kinds if group]
