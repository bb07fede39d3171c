"""The analyses, and the columns of each one's table.

Measures are of the period; ``first_view_at`` and ``last_view_at`` are the first and last view ever, up to its end.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import pyarrow as pa


class Analysis(StrEnum):
    """Which question is asked."""

    USERS = "users"
    MATTERS = "matters"
    CLIENTS = "clients"
    ACTIVITY = "activity"
    WEEKDAY_HOURS = "weekday-hours"
    MATTER_ACTIVITY = "matter-activity"


_INSTANT: Final = pa.timestamp("us", tz="UTC")
_MEASURES: Final = (("views", pa.int64()), ("visits", pa.int64()))
_BY_USER_TYPE: Final = (("member_visits", pa.int64()), ("guest_visits", pa.int64()))
_SEEN: Final = (("first_view_at", _INSTANT), ("last_view_at", _INSTANT))
# ``visits_before``: visits in the period before. ``trend``: how much ``visits`` is above (0.5: by half) or below them;
# null where there were none. Both are null for all time, which has no period before.
_TREND: Final = (("visits_before", pa.int64()), ("trend", pa.float64()))

SCHEMAS: Final[Mapping[Analysis, pa.Schema]] = MappingProxyType(
    {
        # One row a known user, the most visits first. ``matters``: how many different ones. ``active_days``: days with
        # a visit. ``days_quiet``: midnights between the last view and the period's end. ``status``: new, returning,
        # gone quiet, long quiet; null for all time. With ``quiet_for_days`` only users quiet for as long.
        Analysis.USERS: pa.schema(
            [
                ("user_ID", pa.string()),
                ("user_name", pa.string()),
                ("user_email", pa.string()),
                ("user_type", pa.string()),
                *_MEASURES,
                ("matters", pa.int64()),
                ("active_days", pa.int64()),
                *_SEEN,
                ("days_quiet", pa.int64()),
                *_TREND,
                ("status", pa.string()),
            ]
        ),
        # One row a known matter, the most visits first. ``people`` = ``members`` + ``guests``. ``busiest_day`` and
        # ``busiest_hour`` (0 to 23): where most visits began, the earliest of equals; null without a visit.
        # ``week_visits``: visits in the last 7 days of the period; ``usual_week``: the median of the weeks before;
        # ``score``: how far the one is from the other; ``mark``: quiet, normal, busy, bursting. The last three are
        # null where the matter has fewer than four weeks to compare with.
        Analysis.MATTERS: pa.schema(
            [
                ("matter_ID", pa.string()),
                ("matter_name", pa.string()),
                ("matter_type", pa.string()),
                *_MEASURES,
                *_BY_USER_TYPE,
                ("people", pa.int64()),
                ("members", pa.int64()),
                ("guests", pa.int64()),
                *_SEEN,
                ("busiest_day", pa.date32()),
                ("busiest_hour", pa.int64()),
                *_TREND,
                ("week_visits", pa.int64()),
                ("usual_week", pa.float64()),
                ("score", pa.float64()),
                ("mark", pa.string()),
            ]
        ),
        # One row a known or expected outside party, the most visits first. ``client_kind``: company, domain, public
        # mail, expected. ``client_ID``: the company's ID, the domain, the provider, or what was expected. ``people``:
        # in the period; ``people_known``: ever; ``reach`` = people / people_known. ``health``: active, cooling, gone
        # quiet, never came; for all time null, but for those who never came.
        Analysis.CLIENTS: pa.schema(
            [
                ("client_kind", pa.string()),
                ("client_ID", pa.string()),
                ("client_name", pa.string()),
                *_MEASURES,
                ("matters", pa.int64()),
                ("people", pa.int64()),
                ("people_known", pa.int64()),
                ("reach", pa.float64()),
                *_SEEN,
                *_TREND,
                ("health", pa.string()),
            ]
        ),
        # One row a bucket of the period, in order, those without a view too. ``begins_on``: the bucket's first day in
        # the time zone. ``hours``: how much of the bucket lies in the period; 23 or 25 for a whole day when clocks
        # change.
        Analysis.ACTIVITY: pa.schema(
            [
                ("begins_on", pa.date32()),
                ("hours", pa.float64()),
                *_MEASURES,
                *_BY_USER_TYPE,
                ("people", pa.int64()),
                ("matters", pa.int64()),
            ]
        ),
        # 168 rows: ``weekday`` 1 (Monday) to 7, ``hour`` 0 to 23 on the zone's clock; an hour that a clock shows twice
        # is one row.
        Analysis.WEEKDAY_HOURS: pa.schema([("weekday", pa.int64()), ("hour", pa.int64()), *_MEASURES, *_BY_USER_TYPE]),
        # One row a known matter and bucket, by matter ID and bucket, those without a view too. Ask with the filter's
        # ``matters``: it is as long as matters times buckets.
        Analysis.MATTER_ACTIVITY: pa.schema(
            [
                ("matter_ID", pa.string()),
                ("matter_name", pa.string()),
                ("begins_on", pa.date32()),
                *_MEASURES,
                *_BY_USER_TYPE,
            ]
        ),
    }
)
