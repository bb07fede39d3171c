"""The choices on the page of the Activity report, as they were typed. ``request`` checks them.

They are the fields of a form and also a query string, so that a page can be bookmarked.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, ValidationError
from starlette.datastructures import ImmutableMultiDict

from matterlog.report.errors import InvalidFilter
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.web.reports.file_choices import file_choices, known_choice
from matterlog.report.web.reports.period_choices import Dates, PeriodChoices
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.columns import ColumnSet

MAX_IDS: Final = 1000
_IDS: Final = ("matter", "user", "company")
_SEVERAL: Final = ("user_type", "matter_type")
# Fields with any number of values. IDs can also be ticked among the matches of a search by name.
REPEATED: Final = (*_SEVERAL, *(f"add_{name}" for name in _IDS))


class ActivityChoices(PeriodChoices):
    """The choices. ``matter``, ``user`` and ``company`` are IDs, one per line."""

    last: Dates = Dates.ALL
    matter: str = ""
    user: str = ""
    company: str = ""
    user_type: tuple[UserType, ...] = ()
    matter_type: tuple[MatterType, ...] = ()
    columns: ColumnSet = ColumnSet.REPORT
    format: Annotated[str, AfterValidator(known_choice)] = "csv"

    @classmethod
    def of(cls, sent: ImmutableMultiDict[str, Any]) -> Self:
        """Read the choices from a form or a query string. Missing ones have the page's defaults.

        Raises:
            InvalidFilter: the page does not offer a value.
        """
        values: dict[str, Any] = {name: sent[name] for name in cls.fields() if name in sent}
        values |= {name: tuple(sent.getlist(name)) for name in _SEVERAL}
        for name in _IDS:
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
            now: an instant of the last of the last days.

        Raises:
            InvalidFilter: the period makes no sense, or there are too many IDs.
        """
        period, problems = self.days(now)
        if problems:
            raise InvalidFilter(" ".join(problems.values()))
        ids = self.chosen_ids
        if any(len(chosen) > MAX_IDS for chosen in ids.values()):
            raise InvalidFilter(f"Enter at most {MAX_IDS:,} IDs of each kind.")
        chosen = {"matters": ids["matter"], "users": ids["user"], "companies": ids["company"]}
        kinds = {"user_types": self.user_type, "matter_types": self.matter_type}
        file = file_choices()[self.format]
        filter_ = period.model_copy(update=chosen | kinds)
        return ExtractRequest(format=file.format, filter=filter_, columns=self.columns, excel=file.excel)

    @property
    def chosen_ids(self) -> dict[str, tuple[str, ...]]:
        return {name: _lines(getattr(self, name)) for name in _IDS}

    @property
    def narrows(self) -> bool:
        return any(getattr(self, name) for name in (*_IDS, *_SEVERAL))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
