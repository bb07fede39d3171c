"""An analysis that the product does not have: views by kind of matter. As a program, the command line with it."""

from typing import Final

import altair as alt
import pyarrow as pa

from matterlog.app.main import main
from matterlog.report.charts import PICTURES, Picture, Table
from matterlog.report.charts.picture import Ask, compose, context_of
from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.engagement.analyses.analysis_spec import (
    MEASURES,
    AnalysisPage,
    AnalysisSpec,
    TableColumn,
    TextTable,
    text,
)
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket

TOY: Final = AnalysisSpec(
    name="toy",
    title="Toy analysis",
    columns=pa.schema([("kind", pa.string()), *MEASURES]),
    statement="""WITH {views}
        SELECT matter_type::VARCHAR AS kind, count(*) AS views, count(*) FILTER (begins_visit) AS visits
        FROM views WHERE inside GROUP BY kind ORDER BY kind""",
    view_columns="matter_type",
    text=TextTable(
        heading="Toys", rule="By kind.", columns=(TableColumn("kind", "kind", text), TableColumn("visits", "visits"))
    ),
    page=AnalysisPage(
        lead="What is played with.",
        heading="Kinds",
        columns=(TableColumn("Kind", "kind", text), TableColumn("Visits", "visits")),
    ),
)


def draw_toy(request: EngagementRequest, ask: Ask, _by: Bucket | None) -> Picture:
    """A bar a kind."""
    answer = ask(request)
    rows = answer.table.to_pylist()
    return compose(
        finding=f"{len(rows)} kinds",
        context=context_of(answer),
        panels=[alt.Chart(alt.NamedData("kinds")).mark_bar().encode(x="visits:Q", y="kind:N")],
        datasets={"kinds": rows},
        tables=[Table(caption="Kinds", columns=("Kind",), rows=tuple((row["kind"],) for row in rows))],
    )


if __name__ == "__main__":
    ANALYSES[TOY.name] = TOY
    PICTURES[TOY.name] = draw_toy
    main()
