"""What a picture says where it is pointed at: the line of the table that stands beside it.

A line is thin and a sign is small. So a mark that is not seen lies over all the room of a figure, a bucket's column or
a name's row, and has the tip.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import altair as alt

from matterlog.report.charts.picture import SHOWN_DAYS, Table

# How far the first and the last bucket of an axis stand from its ends.
AXIS_PADDING: Final = 8


def tipped(rows: Sequence[Mapping[str, Any]], table: Table) -> list[dict[str, Any]]:
    """Return a dataset's rows, each with the cells of its own line of the table."""
    return [
        {**row, **{f"tip_{index}": cell for index, cell in enumerate(line)}}
        for row, line in zip(rows, table.rows, strict=True)
    ]


def tips(columns: Sequence[str]) -> list[alt.Tooltip]:
    """Return the tip of ``tipped`` rows, such as ``Members: 12``; a title is never a name."""
    return [alt.Tooltip(f"tip_{index}:N", title=column) for index, column in enumerate(columns)]


def over_columns(
    chart: alt.Chart, columns: Sequence[str], *, begins: Sequence[date], width: int, height: int, zooms: bool = False
) -> alt.Chart:
    """Return what lies over each bucket of a time axis that is so wide; on one that zooms it widens as much."""
    room = (width - 2 * AXIS_PADDING) / (len(begins) - 1) if len(begins) > 1 else width
    each = (begins[-1] - begins[0]) / timedelta(milliseconds=max(1, len(begins) - 1))
    wider = alt.ExprRef(f"{SHOWN_DAYS} ? {width * each} / ({SHOWN_DAYS}[1] - {SHOWN_DAYS}[0]) : {room}")
    unseen: alt.Chart = chart.mark_rect(opacity=0, width=wider if zooms else room, clip=zooms)
    return unseen.encode(y=alt.value(0), y2=alt.value(height), tooltip=tips(columns))


def over_rows(chart: alt.Chart, columns: Sequence[str], *, left: int, right: int) -> alt.Chart:
    """Return what lies over each row, from the names at the left to what is said at the right."""
    unseen: alt.Chart = chart.mark_rect(opacity=0)
    return unseen.encode(x=alt.value(-left), x2=alt.value(right), tooltip=tips(columns))
