"""Random logs with bursts, counted by the statements and by plain Python: the same figures."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from matterlog.report.engagement.engagement import EngagementRequest, read_engagement
from matterlog.report.log.filters import Filter
from matterlog.report.log.reader import open_for_reading
from matterlog.schemas import MatterViewed, UserType
from testbed.events import a_view
from tests.report.logs import a_log

# Four weeks in whose middle London's clocks go back, on 25 October; the four weeks before begin on 14 September.
SINCE: Final = datetime(2026, 10, 11, 23, tzinfo=UTC)
UNTIL: Final = datetime(2026, 11, 9, tzinfo=UTC)
BEFORE: Final = datetime(2026, 9, 13, 23, tzinfo=UTC)
LONDON: Final = ZoneInfo("Europe/London")


def random_views(rng: Random) -> Iterator[MatterViewed]:
    """Some 600 views of ten weeks: visits at any second, many followed by refreshes around the edge of 60 s."""
    for _ in range(300):
        user, matter = rng.randrange(9), rng.randrange(5)
        instant = BEFORE + timedelta(seconds=rng.randrange(-14 * 86_400, 58 * 86_400))
        for _ in range(rng.choice((1, 1, 2, 4))):
            kind = UserType.GUEST if user % 3 else UserType.MEMBER
            yield a_view(user_id=f"u-{user}", matter_id=f"m-{matter}", user_type=kind, matter_viewed_at=instant)
            instant += timedelta(seconds=rng.choice((0, 1, 30, 59, 60, 61, 200)))


class Reckoning:
    """The views of a log with whether each begins a visit, counted one by one."""

    def __init__(self, views: list[MatterViewed]) -> None:
        last: dict[tuple[str, str], datetime] = {}
        self.views: list[tuple[MatterViewed, bool]] = []
        for view in sorted(views, key=lambda view: view.matter_viewed_at):
            place = (view.user_id, view.matter_id)
            begins = place not in last or view.matter_viewed_at - last[place] > timedelta(seconds=60)
            last[place] = view.matter_viewed_at
            if view.matter_viewed_at < UNTIL:
                self.views.append((view, begins))

    @cached_property
    def inside(self) -> list[tuple[MatterViewed, bool]]:
        """Those of the period."""
        return [(view, begins) for view, begins in self.views if view.matter_viewed_at >= SINCE]

    def user(self, user: str) -> tuple[Any, ...]:
        """Views, visits, matters, active days, days quiet, visits before and status of a user."""
        own = [view for view, _ in self.inside if view.user_id == user]
        ever = [view.matter_viewed_at for view, _ in self.views if view.user_id == user]
        before = sum(b for v, b in self.views if v.user_id == user and BEFORE <= v.matter_viewed_at < SINCE)
        if own:
            status = "new" if min(ever) >= SINCE else "returning"
        else:
            status = "gone quiet" if max(ever) >= BEFORE else "long quiet"
        return (
            len(own),
            sum(begins for view, begins in self.inside if view.user_id == user),
            len({view.matter_id for view in own}),
            len({day_of(view) for view in own}),
            (date(2026, 11, 8) - max(ever).astimezone(LONDON).date()).days,
            before,
            status,
        )

    def day(self, day: date) -> tuple[int, ...]:
        """Views, visits, members' and guests' visits, people and matters of a day."""
        own = [(view, begins) for view, begins in self.inside if day_of(view) == day]
        begun = [view for view, begins in own if begins]
        members = sum(view.user_type is UserType.MEMBER for view in begun)
        people, matters = {view.user_id for view, _ in own}, {view.matter_id for view, _ in own}
        return (len(own), len(begun), members, len(begun) - members, len(people), len(matters))

    def hours(self) -> Counter[tuple[int, int]]:
        """Visits by weekday and hour."""
        local = [view.matter_viewed_at.astimezone(LONDON) for view, begins in self.inside if begins]
        return Counter((moment.isoweekday(), moment.hour) for moment in local)


def day_of(view: MatterViewed) -> date:
    """The day in London."""
    return view.matter_viewed_at.astimezone(LONDON).date()


@pytest.mark.parametrize("seed", range(5))
def test_statements_count_as_one_counts_by_hand(seed: int, tmp_path: Path) -> None:
    """Users, days and hours of a random log."""
    views = list(random_views(Random(seed)))  # noqa: S311 - a test must repeat itself
    reckoning, paths = Reckoning(views), a_log(tmp_path, *views)

    def ask(analysis: str) -> list[dict[str, Any]]:
        asked = Filter(since=SINCE, until=UNTIL)
        request = EngagementRequest(analysis=analysis, now=UNTIL, filter=asked, timezone="Europe/London")
        with open_for_reading(paths) as connection:
            found: list[dict[str, Any]] = read_engagement(connection, request).table.to_pylist()
        return found

    users = ask("users")
    figures = ("views", "visits", "matters", "active_days", "days_quiet", "visits_before", "status")
    assert {row["user_ID"]: tuple(row[name] for name in figures) for row in users} == {
        user: reckoning.user(user) for user in {view.user_id for view, _ in reckoning.views}
    }
    days = {row.pop("begins_on"): (row.pop("hours"), tuple(row.values())) for row in ask("activity")}
    every_day = [date(2026, 10, 12) + timedelta(days=number) for number in range(28)]
    assert days == {day: (25.0 if day == date(2026, 10, 25) else 24.0, reckoning.day(day)) for day in every_day}
    hours = {(row["weekday"], row["hour"]): row["visits"] for row in ask("weekday-hours")}
    assert +Counter(hours) == reckoning.hours()
