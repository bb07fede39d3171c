"""Matters: which are busy and which are quiet, each against its own weeks; and the course of each."""

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
    text,
)
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "matters.sql")
# Thirteen weeks, and a change of the clock.
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
        TableColumn("Mark", "mark", text),
    ),
    views_by=("matters", "matter_ID"),
    has_steps=True,
)

# One row a known matter, the most visits first. ``people`` = ``members`` + ``guests``. ``busiest_day`` and
# ``busiest_hour`` (0 to 23): where most visits began, the earliest of equals; null without a visit. ``week_visits``:
# visits in the last 7 days of the period; ``usual_week``: the median of the weeks before; ``score``: how far the one is
# from the other; ``mark``: quiet, normal, busy, bursting. The last three are null where the matter has fewer than four
# weeks to compare with.
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
        "week_of_first_view": SQL["week"].format(local="first_local"),
    },
    looks_back=_WEEKS_COMPARED,
    text=TextTable(
        heading="Matters",
        rule="The last 7 days against the median of up to 12 weeks before: quiet from 2 deviations below, busy from 2 "
        "above, bursting from 3.5; quiet also after 28 days without a visit; new with fewer than 4 weeks.",
        columns=(
            TableColumn("matter", "matter_name", text),
            TableColumn("visits", "visits"),
            TableColumn("trend", "trend", change),
            TableColumn("people", "people"),
            TableColumn("guests", "guests", is_spare=True),
            TableColumn("busiest day", "busiest_day", day, is_spare=True),
            TableColumn("hour", "busiest_hour", hour, is_spare=True),
            TableColumn("last view", "last_view_at", day),
            TableColumn("mark", "mark", text),
        ),
        state="mark",
    ),
    page=MATTERS_PAGE,
)

# One row a known matter and bucket, by matter ID and bucket, those without a view too. Ask with the filter's
# ``matters``: it is as long as matters times buckets.
MATTER_ACTIVITY: Final = AnalysisSpec(
    name="matter-activity",
    title="Matters over time",
    columns=pa.schema(
        [
            ("matter_ID", pa.string()),
            ("matter_name", pa.string()),
            ("begins_on", pa.date32()),
            *MEASURES,
            *BY_USER_TYPE,
        ]
    ),
    statement=SQL["matter_activity"],
    is_part=True,
)
