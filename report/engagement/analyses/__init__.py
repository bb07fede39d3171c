"""The analyses of engagement, by name: command line, API, pages, files and manifests offer exactly these."""

from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticKnownError, core_schema

from matterlog.report.engagement.analyses.activity import ACTIVITY, WEEKDAY_HOURS
from matterlog.report.engagement.analyses.analysis_spec import AnalysisSpec
from matterlog.report.engagement.analyses.clients import CLIENTS
from matterlog.report.engagement.analyses.matters import MATTER_ACTIVITY, MATTERS
from matterlog.report.engagement.analyses.users import USERS

# In the order in which people see them.
ANALYSES: Final[dict[str, AnalysisSpec]] = {
    spec.name: spec for spec in (USERS, MATTERS, CLIENTS, ACTIVITY, WEEKDAY_HOURS, MATTER_ACTIVITY)
}


def asked_by_name() -> list[str]:
    """Return the names of the analyses that have a command and a picture."""
    return [spec.name for spec in ANALYSES.values() if not spec.is_part]


def report_title(analysis: str | None) -> str:
    """Return the title of a report: an analysis, or the Activity report for None."""
    return "Activity report" if analysis is None else ANALYSES[analysis].title


class _AnalysisName:
    """The type of an analysis' name for Pydantic: it accepts known names, and its schema is an enumeration."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(_registered, core_schema.str_schema(), ref="Analysis")

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        described = handler(core)
        handler.resolve_ref_schema(described).update(
            description="The name of an analysis.", enum=list(ANALYSES), title="Analysis"
        )
        return described


def _registered(name: str) -> str:
    if name not in ANALYSES:
        *others, last = map(repr, ANALYSES)
        raise PydanticKnownError("enum", {"expected": f"{', '.join(others)} or {last}"})
    return name


# The name of an analysis.
Analysis = Annotated[str, _AnalysisName()]
