"""``matterlog plot``: draws engagement as a picture."""

from pathlib import Path
from typing import Annotated, Any

import typer

from matterlog.app.commands.engagement import Expected, Question, check_options, read_expected, with_counted_views
from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import EngagementQuestion
from matterlog.app.settings import Settings
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket
from matterlog.report.extracts.whole_file import whole_file

Asked = Annotated[Question, typer.Argument(help="The analysis to draw.", show_default=False)]
Buckets = Annotated[Bucket | None, typer.Option(help="activity only: the unit to count by. [chosen by the period]")]
Output = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="File whose name ends with .svg, .png or .html.")
]


@with_settings("database")
@with_counted_views
def plot(
    settings: Settings,
    question: Asked,
    output: Output,
    counted: dict[str, Any],
    by: Buckets = None,
    expected: Expected = None,
) -> None:
    """Draw engagement as a picture or a web page.

    The figures are those of matterlog engagement. docs/pictures.md says how to read each picture. A page needs no
    network. Works while consume runs. The file appears only when it is complete.

    \b
    Example:
      matterlog plot activity --last 90d --timezone Europe/London --output activity.svg
      matterlog plot clients --expected invited.txt --output clients.html
    """
    # Importing Altair takes a quarter of a second, which no other command should wait for.
    from matterlog.report.charts import PictureFormat, draw, render  # noqa: PLC0415

    check_options("plot", question, {"by": by, "expected": expected})
    format_ = PictureFormat.of(output)
    request = EngagementRequest(**counted, analysis=question, expected=read_expected(expected))
    with open_log(log_of(settings)) as log:
        picture = draw(question, request, lambda asked: log.ask(EngagementQuestion(request=asked)), by)
    drawn = render(picture, format_)
    with whole_file(Path(output)) as file:
        file.write(drawn)
    typer.echo(f"{picture.finding}: {len(drawn):,} bytes to {output}", err=True)
