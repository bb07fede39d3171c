"""Activity: views over time and by hour of the week."""

from typing import Final

import pyarrow as pa

from matterlog.report.engagement.analyses.analysis_spec import BY_USER_TYPE, MEASURES, AnalysisSpec, TextTable
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "activity.sql")
_RULE: Final = "A visit counts when it begins."

# One row for each bucket of the period, in order, also without views. ``begins_on``: the bucket's first day in the time
# zone. ``hours``: how many of its hours are in the period; 23 or 25 for a whole day when clocks change.
ACTIVITY: Final = AnalysisSpec(
    name="activity",
    title="Activity over time",
    columns=pa.schema(
        [
            ("begins_on", pa.date32()),
            ("hours", pa.float64()),
            *MEASURES,
            *BY_USER_TYPE,
            ("people", pa.int64()),
            ("matters", pa.int64()),
        ]
    ),
    statement=SQL["activity"],
    options=("by",),
    text=TextTable(heading="Activity", rule=_RULE),
)

# 168 rows: ``weekday`` 1 (Monday) to 7, ``hour`` 0 to 23 in wall time. An hour that a clock shows twice is one row.
WEEKDAY_HOURS: Final = AnalysisSpec(
    name="weekday-hours",
    title="Hours of the week",
    columns=pa.schema([("weekday", pa.int64()), ("hour", pa.int64()), *MEASURES, *BY_USER_TYPE]),
    statement=SQL["weekday_hours"],
    is_part=True,
    text=TextTable(heading="Weekday by hour", rule=_RULE),
)
