"""The choice of a period as it was typed, in the words of the API: ``last``, ``from``, ``to`` and ``timezone``."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import ALL_TIME, Filter, zone_of

_MAX_CHARACTERS: Final = 80
Typed = Annotated[str, BeforeValidator(lambda value: str(value).strip()[:_MAX_CHARACTERS])]


class Dates(StrEnum):
    """The choices of days that the pages offer; ``SELECTED``: those of ``from`` and ``to``."""

    ALL = ALL_TIME
    LAST_30 = "30d"
    LAST_90 = "90d"
    SELECTED = ""


DATE_TITLES: Final[Mapping[Dates, str]] = {
    Dates.ALL: "All time",
    Dates.LAST_30: "Last 30 days",
    Dates.LAST_90: "Last 90 days",
    Dates.SELECTED: "Selected dates",
}


class PeriodChoices(BaseModel):
    """The choices of a period. Days alone choose the selected dates."""

    model_config = ConfigDict(frozen=True)

    last: Dates
    first_day: Typed = Field(default="", alias="from")
    last_day: Typed = Field(default="", alias="to")
    timezone: Annotated[Typed, AfterValidator(lambda name: name or "UTC")] = "UTC"

    @model_validator(mode="before")
    @classmethod
    def _days_alone(cls, values: dict[str, Any]) -> dict[str, Any]:
        has_days = values.get("from") or values.get("to")
        return values | {"last": Dates.SELECTED} if "last" not in values and has_days else values

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Return the names of the fields in a form and an address."""
        return tuple(each.alias or name for name, each in cls.model_fields.items())

    def query(self) -> str:
        """Return the choices as a query string, without the page's defaults."""
        values = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return urlencode({name: value for name, value in values.items() if value or name == "last"}, doseq=True)

    def days(self, now: datetime) -> tuple[Filter, dict[str, str]]:
        """Return the filter of the period, and what is wrong by field. ``now`` is an instant of today."""
        problems: dict[str, str] = {}
        zone: tzinfo = UTC
        try:
            zone = zone_of(self.timezone)
        except InvalidFilter as error:
            problems["timezone"] = f"{error}."
        if self.last is not Dates.SELECTED:
            return Filter.of(now=now, last=self.last, zone=zone), problems
        first, last = _day(self.first_day, "first", problems), _day(self.last_day, "last", problems)
        if problems.keys() & {"from", "to"}:
            return Filter(), problems
        if first is None and last is None:
            problems["from"] = "Choose a first day, a last day, or both."
        elif first is not None and last is not None and first > last:
            problems["to"] = "The last day is before the first day."
        else:
            try:
                return Filter.of(now=now, first_day=first, last_day=last, zone=zone), problems
            except InvalidFilter:  # a day that the zone's calendar skips
                problems["from"] = "These days do not exist in this time zone."
        return Filter(), problems


def _day(text: str, which: str, problems: dict[str, str]) -> str | None:
    try:
        return date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        problems["from" if which == "first" else "to"] = f"The {which} day is not a date. Write it as 2026-11-22."
        return None
