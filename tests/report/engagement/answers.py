"""Answers of engagement made by hand, for tests of what is drawn from them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pyarrow as pa

from matterlog.report.charts.picture import Ask
from matterlog.report.engagement.engagement import Engagement, EngagementRequest, Facts
from matterlog.report.log.filters import Filter
from matterlog.report.log.snapshot import Snapshot

SINCE: Final = datetime(2026, 11, 2, tzinfo=UTC)
UNTIL: Final = datetime(2026, 11, 5, 12, tzinfo=UTC)
DAYS: Final = tuple(date(2026, 11, day) for day in (2, 3, 4, 5))
REQUEST: Final = EngagementRequest(analysis="activity", now=UNTIL, filter=Filter(since=SINCE))

SNAPSHOT: Final = Snapshot(log_id=UUID(int=1), last_arrival=1, taken_at=UNTIL, positions=(), dead_letters=0, gaps=())

Row = dict[str, Any]


def asking(tables: Mapping[str, Sequence[Row]], *, all_time: bool = False) -> Ask:
    """Answers each question with these rows, whatever the filter; a column that is left out is null."""

    def ask(request: EngagementRequest) -> Engagement:
        table = pa.Table.from_pylist(list(tables[request.analysis]), schema=request.spec.columns)
        visits = sum(row["visits"] for row in table.to_pylist())
        facts = Facts(
            since=SINCE,
            until=UNTIL,
            before_since=None if all_time else SINCE - timedelta(days=3),
            views=visits,
            visits=visits,
            demo_views_left_out=0,
            log_views=visits,
            log_since=SINCE if visits else None,
            log_until=UNTIL if visits else None,
        )
        return Engagement(request=request, table=table, facts=facts, snapshot=SNAPSHOT)

    return ask


def a_day(begins_on: date, members: int, guests: int = 0) -> Row:
    """A row of activity."""
    counts = {"member_visits": members, "guest_visits": guests, "visits": members + guests, "views": members + guests}
    return {"begins_on": begins_on, "hours": 24.0, **counts, "people": 1, "matters": 1}


def week(**visits: int) -> list[Row]:
    """The 168 hours of a week, with visits at some, such as ``d2h10=3`` for Tuesday 10:00."""
    rows = [{"weekday": day, "hour": hour} for day in range(1, 8) for hour in range(24)]
    found = [row | {"visits": visits.get(f"d{row['weekday']}h{row['hour']}", 0)} for row in rows]
    return [row | {"views": row["visits"], "member_visits": row["visits"], "guest_visits": 0} for row in found]


def a_matter(number: int, visits: int, **fields: Any) -> Row:
    """A row of matters; the higher its number, the longer ago it was seen."""
    return {
        "matter_ID": f"M-{number}",
        "matter_name": f"Project {number}",
        "matter_type": "live",
        **dict.fromkeys(("views", "visits", "member_visits"), visits),
        "guest_visits": 0,
        "people": 1,
        "last_view_at": UNTIL - timedelta(days=number),
        **fields,
    }


def course(*matters: Row) -> list[Row]:
    """Rows of matter-activity: all of a matter's visits on the first day."""
    return [
        a_day(day, matter["visits"] if day == DAYS[0] else 0)
        | {"matter_ID": matter["matter_ID"], "matter_name": matter["matter_name"]}
        for matter in matters
        for day in DAYS
    ]


def a_user(number: int, visits: int, **fields: Any) -> Row:
    """A row of users."""
    return {
        "user_ID": f"U-{number}",
        "user_name": f"User {number}",
        "user_type": "Member",
        **dict.fromkeys(("views", "visits", "matters", "active_days"), visits),
        "last_view_at": UNTIL,
        "days_quiet": 0,
        "status": "returning",
        **fields,
    }


def a_client(number: int, visits: int, health: str | None, before: int | None = 5, **fields: Any) -> Row:
    """A row of clients."""
    return {
        "client_kind": "company",
        "client_ID": f"C-{number}",
        "client_name": f"Client {number}",
        **dict.fromkeys(("views", "visits", "matters", "people", "people_known"), visits),
        "visits_before": before,
        "last_view_at": UNTIL,
        "health": health,
        **fields,
    }


def everything(name: str, times: int = 1) -> dict[str, list[Row]]:
    """Answers to all questions in which each user, matter and client has this name and so many visits."""
    matters = [a_matter(number, times * (9 - number), matter_name=name) for number in range(3)]
    return {
        "activity": [a_day(day, times * 3, times) for day in DAYS],
        "weekday-hours": week(d2h10=times * 16),
        "matters": matters,
        "matter-activity": course(*matters),
        "users": [a_user(number, times, user_name=name) for number in range(3)],
        "clients": [a_client(number, times, "cooling", client_name=name) for number in range(3)],
    }
