"""What a picture says where it is pointed at: the line of the table that stands beside it.

A line is thin and a sign is small. So a mark that is not seen lies over all the room of a figure, a bucket's column or
a name's row, and has the tip.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from .picture import Table

# How far the first and the last bucket of an axis stand from its ends.
AXIS_PADDING: Final = 8


def tipped(rows: Sequence[Mapping[str, Any]], table: Table) -> list[dict[str, Any]]:
    """Return a dataset's rows, each with the cells of its own line of the table."""
    return [
        {**row, **{f"tip_{place}": cell for place, cell in enumerate(line)}}
        for row, line in zip(rows, table.rows, strict=True)
    ]


def tips(columns: Sequence[str]) -> list[alt.Tooltip]:
    """Return the tip of ``tipped`` rows, such as ``Members: 12``; a title is never a name."""
    return [alt.Tooltip(f"tip_{place}:N", title=column) for place, column in enumerate(columns)]


def over_columns(place: alt.Chart, columns: Sequence[str], *, buckets: int, width: int, height: int) -> alt.Chart:
    """Return what lies over each bucket of a time axis that is so wide and has so many."""
    room = (width - 2 * AXIS_PADDING) / (buckets - 1) if buckets > 1 else width
    unseen: alt.Chart = place.mark_rect(opacity=0, width=room)
    return unseen.encode(y=alt.value(0), y2=alt.value(height), tooltip=tips(columns))


def over_rows(place: alt.Chart, columns: Sequence[str], *, left: int, right: int) -> alt.Chart:
    """Return what lies over each row, from the names at the left to what is said at the right."""
    unseen: alt.Chart = place.mark_rect(opacity=0)
    return unseen.encode(x=alt.value(-left), x2=alt.value(right), tooltip=tips(columns))
