"""``matterlog plot``: draws engagement as a picture."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from matterlog.app.commands.engagement import (
    All,
    Expected,
    First,
    IncludeDemo,
    Question,
    RawViews,
    Shown,
    To,
    Zone,
    check_options,
    period_filter,
    read_expected,
)
from matterlog.app.commands.filter_options import Companies, Last, Matters, MatterTypes, Users, UserTypes
from matterlog.app.commands.options import Config, Database, log_of, settings_of
from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import EngagementQuestion
from matterlog.report.engagement.engagement import EngagementRequest, Names, zone_of
from matterlog.report.engagement.engagement_period import Bucket
from matterlog.report.extracts.whole_file import whole_file

Asked = Annotated[Question, typer.Argument(help="The analysis to draw.", show_default=False)]
Buckets = Annotated[Bucket | None, typer.Option(help="activity only: the unit to count by. [chosen by the period]")]
Output = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="File whose name ends with .svg, .png or .html.")
]


def plot(
    question: Asked,
    output: Output,
    all_time: All = False,
    last: Last = None,
    from_: First = None,
    to: To = None,
    timezone: Zone = "UTC",
    by: Buckets = None,
    expected: Expected = None,
    matter: Matters = None,
    user: Users = None,
    company: Companies = None,
    user_type: UserTypes = None,
    matter_type: MatterTypes = None,
    include_demo: IncludeDemo = False,
    raw_views: RawViews = False,
    names: Shown = Names.LATEST,
    database: Database = None,
    config: Config = None,
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
    dates = {"all_time": all_time, "last": last, "first_day": from_, "last_day": to}
    ids = {"matters": matter, "users": user, "companies": company}
    request = EngagementRequest(
        analysis=question,
        now=datetime.now(UTC),
        filter=period_filter(zone_of(timezone), **dates, **ids, user_types=user_type, matter_types=matter_type),
        timezone=timezone,
        raw_views=raw_views,
        names=names,
        include_demo=include_demo,
        expected=read_expected(expected),
    )
    settings = settings_of(config, database=database)
    with open_log(log_of(settings)) as log:
        picture = draw(question, request, lambda asked: log.ask(EngagementQuestion(request=asked)), by)
    drawn = render(picture, format_)
    with whole_file(Path(output)) as file:
        file.write(drawn)
    typer.echo(f"{picture.finding}: {len(drawn):,} bytes to {output}", err=True)
