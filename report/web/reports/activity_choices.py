"""The choices on the page of the Activity report, as they were typed. ``request`` checks them.

They are the fields of a form and also a query string, so that a page can be bookmarked.
"""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from starlette.datastructures import ImmutableMultiDict

from matterlog.report.errors import InvalidFilter
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.filters import Filter
from matterlog.report.web.reports.file_choices import file_choices, known_choice
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.columns import ColumnSet

_MAX_IDS: Final = 1000
_IDS: Final = ("matters", "users", "companies")
_SEVERAL: Final = ("user_types", "matter_types")


class Dates(StrEnum):
    """The choice of days."""

    ALL = "all"
    LAST_30 = "last-30"
    LAST_90 = "last-90"
    SELECTED = "selected"


LAST_DAYS: Final[Mapping[Dates, int]] = {Dates.LAST_30: 30, Dates.LAST_90: 90}
DATE_TITLES: Final[Mapping[Dates, str]] = {
    Dates.LAST_30: "Last 30 days",
    Dates.LAST_90: "Last 90 days",
    Dates.ALL: "All time",
    Dates.SELECTED: "Selected dates",
}


class ActivityChoices(BaseModel):
    """The choices. ``matters``, ``users`` and ``companies`` are IDs, one per line."""

    model_config = ConfigDict(frozen=True)

    dates: Dates = Dates.LAST_30
    first_day: str = ""
    last_day: str = ""
    matters: str = ""
    users: str = ""
    companies: str = ""
    user_types: tuple[UserType, ...] = ()
    matter_types: tuple[MatterType, ...] = ()
    columns: ColumnSet = ColumnSet.REPORT
    file: Annotated[str, AfterValidator(known_choice)] = "csv"

    @classmethod
    def of(cls, sent: ImmutableMultiDict[str, Any]) -> Self:
        """Read the choices from a form or a query string. Missing ones have the page's defaults.

        Raises:
            InvalidFilter: the page does not offer a value.
        """
        values: dict[str, Any] = {name: sent[name] for name in cls.model_fields if name in sent}
        values |= {name: tuple(sent.getlist(name)) for name in _SEVERAL}
        for name in _IDS:
            # IDs ticked among the matches of a search by name.
            if ticked := sent.getlist(f"add_{name}"):
                values[name] = "\n".join(dict.fromkeys((*_lines(values.get(name, "")), *map(str, ticked))))
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            fields = ", ".join(sorted({str(problem["loc"][0]) for problem in error.errors()}))
            raise InvalidFilter(f"The page does not offer this value: {fields}.") from None

    def request(self, now: datetime) -> ExtractRequest:
        """Return the extract that the choices ask for.

        Args:
            now: the instant from which the last days are counted back.

        Raises:
            InvalidFilter: a day is not a date, the first day is after the last day, or there are too many IDs.
        """
        first, last = self._days() if self.dates is Dates.SELECTED else (None, None)
        ids = self.chosen_ids
        if any(len(chosen) > _MAX_IDS for chosen in ids.values()):
            raise InvalidFilter(f"Enter at most {_MAX_IDS:,} IDs of each kind.")
        chosen = Filter.of(
            now=now,
            last=f"{LAST_DAYS[self.dates]}d" if self.dates in LAST_DAYS else None,
            first_day=first,
            last_day=last,
            matters=ids["matters"],
            users=ids["users"],
            companies=ids["companies"],
            user_types=self.user_types,
            matter_types=self.matter_types,
        )
        file = file_choices()[self.file]
        return ExtractRequest(format=file.format, filter=chosen, columns=self.columns, excel=file.excel)

    def query(self) -> str:
        """Return the choices as a query string, without the page's defaults."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return urlencode({name: value for name, value in values.items() if value}, doseq=True)

    @property
    def chosen_ids(self) -> dict[str, tuple[str, ...]]:
        return {name: _lines(getattr(self, name)) for name in _IDS}

    @property
    def narrows(self) -> bool:
        return any(getattr(self, name) for name in (*_IDS, *_SEVERAL))

    def _days(self) -> tuple[str | None, str | None]:
        first, last = _day(self.first_day, "first"), _day(self.last_day, "last")
        if first is None and last is None:
            raise InvalidFilter("Choose a first day, a last day, or both.")
        if first is not None and last is not None and first > last:
            raise InvalidFilter(f"The first day, {first}, is after the last day, {last}.")
        return None if first is None else first.isoformat(), None if last is None else last.isoformat()


def _lines(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _day(text: str, which: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidFilter(f"The {which} day is not a date. Write it as 2026-11-22.") from None
