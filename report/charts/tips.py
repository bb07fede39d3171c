"""Tips: the row of the table that appears when somebody points at a mark.

Lines are thin and symbols are small. So an invisible mark with the tip covers the whole column of a bucket, or the
whole row of a name.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import altair as alt

from matterlog.report.charts.picture import SHOWN_DAYS, Table

# The distance of the first and the last bucket from the ends of an axis.
AXIS_PADDING: Final = 8


def tipped(rows: Sequence[Mapping[str, Any]], table: Table) -> list[dict[str, Any]]:
    """Return a dataset's rows, each with the cells of its row in the table."""
    return [
        {**row, **{f"tip_{index}": cell for index, cell in enumerate(line)}}
        for row, line in zip(rows, table.rows, strict=True)
    ]


def tips(columns: Sequence[str]) -> list[alt.Tooltip]:
    """Return the tips of ``tipped`` rows, such as ``Members: 12``; titles contain no names."""
    return [alt.Tooltip(f"tip_{index}:N", title=column) for index, column in enumerate(columns)]


def over_columns(
    chart: alt.Chart, columns: Sequence[str], *, begins: Sequence[date], width: int, height: int, zooms: bool = False
) -> alt.Chart:
    """Return the invisible marks over the buckets of a time axis; they widen when the axis zooms."""
    room = (width - 2 * AXIS_PADDING) / (len(begins) - 1) if len(begins) > 1 else width
    each = (begins[-1] - begins[0]) / timedelta(milliseconds=max(1, len(begins) - 1))
    wider = alt.ExprRef(f"{SHOWN_DAYS} ? {width * each} / ({SHOWN_DAYS}[1] - {SHOWN_DAYS}[0]) : {room}")
    unseen: alt.Chart = chart.mark_rect(opacity=0, width=wider if zooms else room, clip=zooms)
    return unseen.encode(y=alt.value(0), y2=alt.value(height), tooltip=tips(columns))


def over_rows(chart: alt.Chart, columns: Sequence[str], *, left: int, right: int) -> alt.Chart:
    """Return the invisible marks over the rows, from the names at the left to the texts at the right."""
    unseen: alt.Chart = chart.mark_rect(opacity=0)
    return unseen.encode(x=alt.value(-left), x2=alt.value(right), tooltip=tips(columns))
