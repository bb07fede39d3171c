"""The registry of analyses: what is declared is complete, and says what is missing."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from matterlog.app.terminal.engagement_text import DRAWN
from matterlog.report.charts import PICTURES
from matterlog.report.engagement.analyses import ANALYSES, Analysis, asked_by_name, report_title
from matterlog.report.handover.manifest import Manifest
from matterlog.report.web.reports.activity_choices import ActivityChoices
from tests.report.engagement.toy import TOY

NAMES: TypeAdapter[str] = TypeAdapter(Analysis)
DOCUMENT = (Path(__file__).parents[3] / "docs" / "engagement.md").read_text(encoding="utf-8")


def test_every_analysis_has_its_picture_unless_it_is_a_part_of_another() -> None:
    """Drawn in a room above; none is of an analysis that is not there."""
    assert set(PICTURES) == set(asked_by_name())


@pytest.mark.parametrize("name", ANALYSES)
def test_every_table_to_read_has_columns_or_a_drawing(name: str) -> None:
    """Not both; a part of another may be in files and pictures alone."""
    table = ANALYSES[name].text
    assert table is not None or ANALYSES[name].is_part
    assert (name in DRAWN) is (table is not None and not table.columns)


def test_names_and_titles_tell_analyses_apart() -> None:
    """And from the Activity report, which people find last."""
    titles = [report_title(name) for name in (*ANALYSES, None)]
    assert len(set(titles)) == len(titles)
    assert [spec.name for spec in ANALYSES.values()] == list(ANALYSES)


def test_a_row_leads_to_the_activity_report_by_a_field_that_it_has() -> None:
    """Or the address would choose everything."""
    fields = {spec.page.views_by[0] for spec in ANALYSES.values() if spec.page and spec.page.views_by}
    assert fields == {"user", "matter"}
    assert fields <= set(ActivityChoices.fields())


@pytest.mark.parametrize("name", asked_by_name())
def test_every_analysis_is_documented(name: str) -> None:
    """Under a heading of its own."""
    assert f"\n## {name}\n" in DOCUMENT


def test_a_column_that_is_shown_must_be_one_of_the_tables() -> None:
    """And its sums are those of views and visits; what is missing is named."""
    with pytest.raises(ValueError, match=r"^the analysis toy has no column kind$"):
        replace(TOY, columns=pa.schema([("views", pa.int64()), ("visits", pa.int64())]))
    with pytest.raises(ValueError, match=r"^the analysis toy has no column views, visits$"):
        replace(TOY, columns=pa.schema([("kind", pa.string())]))


def test_a_name_that_is_not_registered_is_refused_with_those_that_are() -> None:
    """As an enumeration does."""
    assert NAMES.validate_python("weekday-hours") == "weekday-hours"
    with pytest.raises(ValidationError, match=r"'users', 'matters', .* or 'matter-activity' \[type=enum"):
        NAMES.validate_python("toy")


def test_an_analysis_that_is_added_is_a_name_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """In what was imported long before, and in the manifest's schema."""
    monkeypatch.setitem(ANALYSES, TOY.name, TOY)
    assert NAMES.validate_python("toy") == "toy"
    schema = Manifest.model_json_schema(mode="serialization")
    assert schema["$defs"]["Analysis"]["enum"] == [*ANALYSES]
    assert asked_by_name() == ["users", "matters", "clients", "activity", "toy"]
