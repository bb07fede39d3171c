"""Pictures of engagement tables: a finding, a Vega-Lite specification, and files that need no network.

1. A picture holds only sums. Its size depends on what it shows, never on the number of views.
2. The title is true of the data, also for a tie, for one row and for no rows.
3. Names are data: no title and no expression contains one. See ``names``.
4. Files and site, light and dark, use one specification. See ``look``.
"""

from collections.abc import Callable
from typing import Final

from matterlog.report.charts.activity import draw_activity
from matterlog.report.charts.clients import draw_clients
from matterlog.report.charts.look import Look
from matterlog.report.charts.matters import draw_matters
from matterlog.report.charts.picture import Ask, Picture, Table
from matterlog.report.charts.rendering import PictureFormat, render, vega_of, vega_script
from matterlog.report.charts.users import draw_users
from matterlog.report.engagement.analyses.activity import ACTIVITY
from matterlog.report.engagement.analyses.clients import CLIENTS
from matterlog.report.engagement.analyses.matters import MATTERS
from matterlog.report.engagement.analyses.users import USERS
from matterlog.report.engagement.engagement import EngagementRequest
from matterlog.report.engagement.engagement_period import Bucket

__all__ = ["Look", "Picture", "PictureFormat", "Table", "draw", "render", "vega_of", "vega_script"]

# Draws the picture of an analysis, from the request, the function that answers it, and the buckets.
Draw = Callable[[EngagementRequest, Ask, Bucket | None], Picture]
# By the name of the analysis. A part of another analysis has no picture.
PICTURES: Final[dict[str, Draw]] = {
    USERS.name: draw_users,
    MATTERS.name: draw_matters,
    CLIENTS.name: draw_clients,
    ACTIVITY.name: draw_activity,
}


def draw(subject: str, request: EngagementRequest, ask: Ask, by: Bucket | None = None) -> Picture:
    """Draw a picture.

    Args:
        subject: the name of the analysis.
        request: which views and which time zone. The subject replaces its analysis.
        ask: answers one or two engagement requests.
        by: the buckets for activity and matters; None chooses those that suit the period.

    Raises:
        InvalidFilter: the period is invalid, or does not fit in a picture.
    """
    return PICTURES[subject](request, ask, by)
