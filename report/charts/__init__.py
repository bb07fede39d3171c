"""Engagement's tables -> pictures: a finding, a Vega-Lite description, and files that need no network.

1. Only sums go into a picture: its size follows from what is drawn, never from how many views there are.
2. A title says what the data says, also in a tie, with one row and with none.
3. Names are data: no title and no expression holds one. See ``names``.
4. One description for files and site, light and dark. See ``look``.
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

__all__ = ["Look", "Picture", "PictureFormat", "Table", "draw", "render", "spec", "vega_of", "vega_script"]


# What draws an analysis: of which views, who answers, by which steps; None for those that suit the period.
Draw = Callable[[EngagementRequest, Ask, Bucket | None], Picture]
# By the name of the analysis; a part of another one has no picture of its own.
PICTURES: Final[dict[str, Draw]] = {
    USERS.name: draw_users,
    MATTERS.name: draw_matters,
    CLIENTS.name: draw_clients,
    ACTIVITY.name: draw_activity,
}


def draw(subject: str, request: EngagementRequest, ask: Ask, by: Bucket | None = None) -> Picture:
    """Draw a picture.

    Args:
        subject: of which analysis.
        request: which views, on whose clock; its analysis is the subject's, whatever it says.
        ask: answers the questions of engagement, one or two of them.
        by: for activity and matters: the buckets; by default what suits the period.

    Raises:
        InvalidFilter: the period makes no sense, or has no room in a picture.
    """
    return PICTURES[subject](request, ask, by)


def spec(subject: str, request: EngagementRequest, ask: Ask, look: Look = Look.LIGHT) -> dict[str, object]:
    """Return a picture as a Vega-Lite specification, for a page that serves ``vega_script`` itself."""
    return draw(subject, request, ask).spec(look)
