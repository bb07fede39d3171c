"""Matters: how busy each one is, compared with its own past weeks, and its views over time."""

from datetime import timedelta
from typing import Final

import pyarrow as pa

from matterlog.report.engagement.analyses.analysis_spec import (
    BY_USER_TYPE,
    MEASURES,
    SEEN,
    TREND,
    AnalysisPage,
    AnalysisSpec,
    TableColumn,
    TextTable,
    change,
    day,
    hour,
    mark,
    text,
)
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "matters.sql")
# Thirteen weeks, and a day for a change of the clocks.
_WEEKS_COMPARED: Final = timedelta(days=92)

MATTERS_PAGE: Final = AnalysisPage(
    lead="Which matters are busy, which are quiet, and when.",
    heading="Matters",
    columns=(
        TableColumn("Matter", "matter_name", text),
        TableColumn("Type", "matter_type", text),
        TableColumn("Visits", "visits"),
        TableColumn("Before", "visits_before"),
        TableColumn("Trend", "trend", change),
        TableColumn("Members", "members"),
        TableColumn("Guests", "guests"),
        TableColumn("Busiest day", "busiest_day", day),
        TableColumn("Last seen (UTC)", "last_view_at", day),
        TableColumn("Mark", "mark", mark),
    ),
    views_by=("matter", "matter_ID"),
    has_steps=True,
)

# One row for each known matter, most visits first. ``people`` = ``members`` + ``guests``. ``busiest_day`` and
# ``busiest_hour`` (0 to 23): when most visits began, the earliest of equals; null without a visit. ``week_visits``:
# visits in the last 7 days of the period; ``usual_week``: the median of the weeks before; ``score``: the distance of
# the two; ``mark``: a key of ``MARKS``. ``usual_week`` and ``score`` are null for fewer than four weeks before.
MATTERS: Final = AnalysisSpec(
    name="matters",
    title="Matter engagement",
    columns=pa.schema(
        [
            ("matter_ID", pa.string()),
            ("matter_name", pa.string()),
            ("matter_type", pa.string()),
            *MEASURES,
            *BY_USER_TYPE,
            ("people", pa.int64()),
            ("members", pa.int64()),
            ("guests", pa.int64()),
            *SEEN,
            ("busiest_day", pa.date32()),
            ("busiest_hour", pa.int64()),
            *TREND,
            ("week_visits", pa.int64()),
            ("usual_week", pa.float64()),
            ("score", pa.float64()),
            ("mark", pa.string()),
        ]
    ),
    statement=SQL["matters"],
    pieces={
        "week_of_view": SQL["week"].format(local="local"),
        "week_of_first_view": SQL["week"].format(local="first_view_at + utc_offset"),
    },
    looks_back=_WEEKS_COMPARED,
    text=TextTable(
        heading="Matters",
        rule="The mark compares the last 7 days with the median of up to 12 weeks before. below usual: 2 deviations "
        "below or more, or no visit for 28 days. above usual: 2 above or more. far above usual: 3.5 above or more. "
        "too new to compare: fewer than 4 weeks.",
        columns=(
            TableColumn("matter", "matter_name", text),
            TableColumn("visits", "visits"),
            TableColumn("trend", "trend", change),
            TableColumn("people", "people"),
            TableColumn("guests", "guests", is_spare=True),
            TableColumn("busiest day", "busiest_day", day, is_spare=True),
            TableColumn("hour", "busiest_hour", hour, is_spare=True),
            TableColumn("last view", "last_view_at", day),
            TableColumn("mark", "mark", mark),
        ),
        spare_from=92,
        state="mark",
    ),
    page=MATTERS_PAGE,
)

# One row for each known matter and bucket, by matter ID and bucket, also without views. Choose matters in the filter:
# the table has a row for every matter in every bucket.
MATTER_ACTIVITY: Final = AnalysisSpec(
    name="matter-activity",
    title="Matters over time",
    columns=pa.schema(
        [("matter_ID", pa.string()), ("matter_name", pa.string()), ("begins_on", pa.date32()), *MEASURES, *BY_USER_TYPE]
    ),
    statement=SQL["matter_activity"],
    is_by_matter_and_bucket=True,
    is_part=True,
)
