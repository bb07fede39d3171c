"""Engagement's tables -> pictures: a finding, a Vega-Lite description, and files that need no network.

1. Only sums go into a picture: its size follows from what is drawn, never from how many views there are.
2. A title says what the data says, also in a tie, with one row and with none.
3. Names are data: no title and no expression holds one. See ``names``.
4. One description for files and site, light and dark. See ``look``.
"""

from matterlog.report.charts.activity import draw_activity
from matterlog.report.charts.clients import draw_clients
from matterlog.report.charts.look import Look
from matterlog.report.charts.matters import draw_matters
from matterlog.report.charts.picture import Ask, Picture, Subject, Table
from matterlog.report.charts.rendering import PictureFormat, render, vega_of, vega_script
from matterlog.report.charts.users import draw_users
from matterlog.report.engagement.engagement import Bucket, EngagementRequest

__all__ = ["Look", "Picture", "PictureFormat", "Subject", "Table", "draw", "render", "spec", "vega_of", "vega_script"]


def draw(subject: Subject, request: EngagementRequest, ask: Ask, by: Bucket | None = None) -> Picture:
    """Draw a picture.

    Args:
        subject: of what.
        request: which views, on whose clock; its analysis is the subject's, whatever it says.
        ask: answers the questions of engagement, one or two of them.
        by: for activity and matters: the buckets; by default what suits the period.

    Raises:
        InvalidFilter: the period makes no sense, or has no room in a picture.
    """
    match subject:
        case Subject.ACTIVITY:
            return draw_activity(request, ask, by)
        case Subject.MATTERS:
            return draw_matters(request, ask, by)
        case Subject.USERS:
            return draw_users(request, ask)
        case Subject.CLIENTS:
            return draw_clients(request, ask)


def spec(subject: Subject, request: EngagementRequest, ask: Ask, look: Look = Look.LIGHT) -> dict[str, object]:
    """Return a picture as a Vega-Lite specification, for a page that serves ``vega_script`` itself."""
    return draw(subject, request, ask).spec(look)
