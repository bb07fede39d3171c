"""The choices on an engagement page: a query string that is checked field by field.

1. An invalid value is reported at its field. What was typed stays there, and the other fields keep their values.
2. The choices are in the address, so that a page can be bookmarked.
3. Days are whole days of the time zone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self
from urllib.parse import urlencode

from pydantic import ValidationError

from matterlog.report.engagement.analyses import Analysis
from matterlog.report.engagement.analyses.matters import MATTERS
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket, Period, wall
from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import ENGAGEMENT_PERIOD, Filter, zone_of
from matterlog.report.web.reports.activity_choices import ActivityChoices
from matterlog.report.web.reports.period_choices import Dates, PeriodChoices
from matterlog.schemas import MatterType, UserType

_TICK: Final = timedelta(microseconds=1)
# A longer address of the Activity report is not offered: each row of a table may have one.
_MOST_CHARACTERS: Final = 2_000
_NOT_ON_OFFER: Final = "The page does not offer this value. Choose again."


class EngagementChoices(PeriodChoices):
    """The choices. Days and time zone are as they were typed. Steps that are fitting suit the length of the period.

    ``matter`` and ``user`` are IDs. ``company`` and ``domain`` are the ``client_ID`` of a client. Empty means all.
    """

    last: Dates = Dates(ENGAGEMENT_PERIOD)
    user_type: Literal["all", "Member", "Guest"] = "all"
    matter_type: Literal["live", "demo", "all"] = "live"
    raw_views: Literal["false", "true"] = "false"
    by: Literal["fitting", "day", "week", "month"] = "fitting"
    matter: str = ""
    user: str = ""
    company: str = ""
    domain: str = ""

    @property
    def bucket(self) -> Bucket | None:
        """The step of a chart over time; None if it depends on the period."""
        return None if self.by == "fitting" else Bucket(self.by)


@dataclass(frozen=True, slots=True)
class CheckedChoices:
    """Choices with the problems by field; without problems, ``chosen`` is their filter."""

    choices: EngagementChoices
    problems: Mapping[str, str]
    chosen: Filter

    @classmethod
    def of(cls, sent: Mapping[str, Any], now: datetime) -> Self:
        """Read and check the choices of a query string or a form. Missing ones have the page's defaults.

        Args:
            sent: the fields; only the first text of each name counts.
            now: an instant of the last of the last days.
        """
        problems: dict[str, str] = {}
        values = {name: sent[name] for name in EngagementChoices.fields() if name in sent}
        try:
            choices = EngagementChoices.model_validate(values)
        except ValidationError as error:
            problems = {str(each["loc"][0]): _NOT_ON_OFFER for each in error.errors()}
            offered = {name: value for name, value in values.items() if name not in problems}
            choices = EngagementChoices.model_validate(offered)
        period, wrong = choices.days(now)
        if period.since is not None and period.since > now:
            wrong["from"] = "This day has not begun yet."
        people = () if choices.user_type == "all" else (UserType(choices.user_type),)
        # The request itself leaves out demo matters, and reports how many views that leaves out.
        matters = (MatterType.DEMO,) if choices.matter_type == "demo" else ()
        chosen = period.model_copy(
            update={
                "user_types": people,
                "matter_types": matters,
                "matters": (choices.matter,) if choices.matter else (),
                "users": (choices.user,) if choices.user else (),
            }
        )
        return cls(choices, problems | wrong, chosen)

    def request(self, analysis: Analysis, now: datetime) -> EngagementRequest:
        """Return the request that the choices ask for.

        Raises:
            InvalidFilter: there are problems with them.
        """
        if self.problems:
            raise InvalidFilter(" ".join(self.problems.values()))
        choices = self.choices
        return EngagementRequest(
            analysis=analysis,
            now=now,
            filter=self.chosen,
            timezone=choices.timezone,
            by=choices.bucket or Bucket.DAY,
            raw_views=choices.raw_views == "true",
            include_demo=choices.matter_type != "live",
        )

    def details_address(self, analysis: str, **chosen: str) -> str:
        """Return the address of the page of one matter, user or client, by its ID, for the same period."""
        kept = {"last", "first_day", "last_day", "timezone", "raw_views"}
        if analysis != MATTERS.name and not self.choices.matter:  # one matter counts whatever its type
            kept.add("matter_type")
        more = self.choices.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=kept)
        return f"/reports/{analysis}/details?{urlencode(chosen | more)}"

    def activity_address(self, now: datetime, *, before: bool = False, **more: str) -> str | None:
        """Return the Activity report's address for the same views; None where there is none, or it is too long."""
        choices = self.activity_choices(now, before=before, **more)
        query = None if choices is None else choices.query()
        return None if query is None or len(query) > _MOST_CHARACTERS else f"/reports/activity?{query}"

    def activity_choices(self, now: datetime, *, before: bool = False, **more: str) -> ActivityChoices | None:
        """Return the Activity report's choices for the same period, people and matters, and nothing after today.

        Args:
            now: an instant of today.
            before: of the period before; None for all time, which has none.
            more: other fields of that report, such as the ID of a user.
        """
        choices, chosen = self.choices, self.chosen
        ids = {"matter": chosen.matters, "user": chosen.users, "company": chosen.companies}
        more = {name: "\n".join(values) for name, values in ids.items()} | more
        kinds: dict[str, tuple[str, ...]] = {"user_type": chosen.user_types}
        if choices.matter_type != "all":
            kinds["matter_type"] = (choices.matter_type,)
        period = {"last": choices.last, "from": choices.first_day, "to": choices.last_day}
        zone = zone_of(choices.timezone)
        today = now.astimezone(zone).date().isoformat()
        if before:
            compared = Period.of(chosen, now=now, zone=zone, first_view=None)
            if compared.before_since is None:
                return None
            first, last = (wall(each, zone).date() for each in (compared.before_since, compared.since - _TICK))
            period = {"last": Dates.SELECTED, "from": first.isoformat(), "to": last.isoformat()}
        elif choices.last is Dates.ALL:
            period = {"last": Dates.SELECTED, "to": today}
        elif choices.last is Dates.SELECTED:
            period["to"] = min(choices.last_day or today, today)
        return ActivityChoices.model_validate(period | kinds | {"timezone": choices.timezone} | more)
