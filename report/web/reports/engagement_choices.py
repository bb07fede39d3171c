"""The choices on an engagement page: a query string that is checked field by field.

1. An invalid value is reported at its field. What was typed stays there, and the other fields keep their values.
2. The choices are in the address, so that a page can be bookmarked.
3. Days are whole days of the time zone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from matterlog.report.engagement.analyses import Analysis
from matterlog.report.engagement.engagement import EngagementRequest, zone_of
from matterlog.report.engagement.engagement_period import Bucket, last_days
from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import Filter
from matterlog.report.web.reports.activity_choices import LAST_DAYS, ActivityChoices, Dates
from matterlog.schemas import MatterType, UserType

_MAX_CHARACTERS: Final = 80
_TICK: Final = timedelta(microseconds=1)
_NOT_ON_OFFER: Final = "The page does not offer this value. Choose again."
Typed = Annotated[str, BeforeValidator(lambda value: str(value).strip()[:_MAX_CHARACTERS])]


class EngagementChoices(BaseModel):
    """The choices. Days and time zone are as they were typed. Steps that are fitting suit the length of the period."""

    model_config = ConfigDict(frozen=True)

    dates: Dates = Dates.LAST_30
    first_day: Typed = ""
    last_day: Typed = ""
    timezone: Annotated[Typed, AfterValidator(lambda name: name or "UTC")] = "UTC"
    people: Literal["all", "Member", "Guest"] = "all"
    matters: Literal["live", "demo", "all"] = "live"
    counting: Literal["visits", "views"] = "visits"
    by: Literal["fitting", "day", "week", "month"] = "fitting"

    def query(self) -> str:
        """Return the choices as a query string, without the page's defaults."""
        return urlencode(self.model_dump(mode="json", exclude_defaults=True))

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
            now: the instant from which the last days are counted back.
        """
        problems: dict[str, str] = {}
        values = {name: sent[name] for name in EngagementChoices.model_fields if name in sent}
        try:
            choices = EngagementChoices.model_validate(values)
        except ValidationError as error:
            problems = {str(each["loc"][0]): _NOT_ON_OFFER for each in error.errors()}
            offered = {name: value for name, value in values.items() if name not in problems}
            choices = EngagementChoices.model_validate(offered)
        chosen, wrong = _checked(choices, now)
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
            raw_views=choices.counting == "views",
            include_demo=choices.matters != "live",
        )

    def activity_query(self, now: datetime, **ids: str) -> str:
        """Return the Activity report's query string for the same people, matters and days.

        That report's days are in UTC. They cover the days of another time zone, so it may hold some more hours.

        Args:
            now: the instant at which the last days end.
            ids: IDs of users, matters or companies, by the report's field.
        """
        live_or_demo = {} if self.choices.matters == "all" else {"matter_types": (self.choices.matters,)}
        values = {"user_types": self.chosen.user_types, **live_or_demo, **self._utc_days(now), **ids}
        return ActivityChoices.model_validate(values).query()

    def _utc_days(self, now: datetime) -> dict[str, str]:
        since, until = self.chosen.since, self.chosen.until
        if since is None and until is None:
            return {"dates": Dates.ALL}
        last = ((until or now) - _TICK).astimezone(UTC).date()
        first = {} if since is None else {"first_day": since.astimezone(UTC).date().isoformat()}
        return {"dates": Dates.SELECTED, "last_day": last.isoformat(), **first}


def _checked(choices: EngagementChoices, now: datetime) -> tuple[Filter, dict[str, str]]:
    """Return the filter, and the problems with days and time zone."""
    problems: dict[str, str] = {}
    zone, days = ZoneInfo("UTC"), Filter()
    try:
        zone = zone_of(choices.timezone)
    except InvalidFilter as error:
        problems["timezone"] = f"{error}."
    if choices.dates in LAST_DAYS:
        days = Filter(since=last_days(LAST_DAYS[choices.dates], now=now, zone=zone))
    elif choices.dates is Dates.SELECTED:
        days = _selected(choices, now, zone, problems)
    people = () if choices.people == "all" else (UserType(choices.people),)
    # The request itself leaves out demo matters, and reports how many views that leaves out.
    matters = (MatterType.DEMO,) if choices.matters == "demo" else ()
    return days.model_copy(update={"user_types": people, "matter_types": matters}), problems


def _selected(choices: EngagementChoices, now: datetime, zone: ZoneInfo, problems: dict[str, str]) -> Filter:
    """Return the selected days, and add problems with them to ``problems``."""
    first, last = (_day(choices, field, problems) for field in ("first_day", "last_day"))
    today = now.astimezone(zone).date()
    if problems.keys() & {"first_day", "last_day"}:
        return Filter()
    if first is None and last is None:
        problems["first_day"] = "Choose a first day, a last day, or both."
    elif first is not None and first > today:
        problems["first_day"] = f"This day has not begun yet. Today is {today}."
    elif first is not None and last is not None and first > last:
        problems["last_day"] = "The last day is before the first day."
    else:
        try:
            return Filter.of(now=now, first_day=_written(first), last_day=_written(last), zone=zone)
        except InvalidFilter:  # a day that the zone's calendar skips
            problems["first_day"] = "These days do not exist in this time zone."
    return Filter()


def _day(choices: EngagementChoices, field: str, problems: dict[str, str]) -> date | None:
    text = str(getattr(choices, field))
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        problems[field] = "This is not a date. Write it as 2026-11-22."
        return None


def _written(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
