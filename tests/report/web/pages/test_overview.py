"""The overview: the last thirty days against the thirty before, in figures, signs and words."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from matterlog.report.web.figures.glance import Figure
from matterlog.schemas import MatterType
from testbed.events import a_view
from tests.report.web.sites import running_site

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def ago(days: float, **more: object) -> object:
    """A view so many days before."""
    return a_view(matter_viewed_at=NOW - timedelta(days=days), **more)


@pytest.mark.parametrize(
    ("value", "before", "sign", "words"),
    [
        (0, 0, "=", "none in the 30 days before either"),
        (7, 7, "=", "the same as in the 30 days before"),
        (7, 0, "▲", "none in the 30 days before"),
        (0, 7, "▼", "100% fewer than 7 in the 30 days before"),
        (3, 2, "▲", "50% more than 2 in the 30 days before"),
        (5000, 5001, "▼", "under 1% fewer than 5,001 in the 30 days before"),
        (50_000, 2, "▲", "2,499,900% more than 2 in the 30 days before"),
    ],
)
def test_a_figure_says_which_way_it_went(value: int, before: int, sign: str, words: str) -> None:
    """By a sign and in words, so that no colour is needed."""
    figure = Figure(title="Views", address="/", value=value, before=before)
    assert (figure.sign, figure.words) == (sign, words)


def test_the_last_days_are_compared_with_as_many_before(tmp_path: Path) -> None:
    """Whole days, today as far as it is; demo matters left out."""
    inside = [ago(1), ago(2, user_id="u-2"), ago(29.4, matter_id="m-2"), ago(3, matter_type=MatterType.DEMO)]
    before = [ago(29.6), ago(40, user_id="u-3")]
    with running_site(tmp_path, *inside, *before, ago(90)) as site:  # type: ignore[arg-type]
        site.clock.now = NOW
        page = site.signed_in().get("/").text
    said = re.findall(r'<dt><a href="(.*?)">(.*?)</a></dt><dd>(.*?)</dd>\s*<dd .*?</span> (.*?)</dd>', page)
    assert said == [
        ("/reports/activity?last=30d&amp;matter_type=live", "Views", "3", "50% more than 2 in the 30 days before"),
        ("/reports/users", "Active users", "2", "the same as in the 30 days before"),
        ("/reports/matters", "Active matters", "2", "100% more than 1 in the 30 days before"),
    ]
    assert "The log begins within" not in page
    assert "Views arrive as they happen." in page


def test_each_number_is_the_one_where_it_leads(tmp_path: Path) -> None:
    """At any hour: the views, the users and the matters of the period, and the views of each of the busiest."""
    views = [ago(number * 1.7, user_id=f"u-{number % 7}", matter_id=f"m-{number % 3}") for number in range(40)]
    demo = [ago(1, matter_id="m-demo", matter_type=MatterType.DEMO), ago(-0.4), ago(-1.2)]
    with running_site(tmp_path, *views, *demo) as site:  # type: ignore[arg-type]
        site.clock.now = NOW.replace(hour=3)
        client = site.signed_in()
        page = client.get("/").text
        figures = re.findall(r'<dt><a href="(.*?)">.*?</a></dt><dd>(.*?)</dd>', page)
        busiest = re.findall(r'<th scope="row">.*?class="figure"><a href="(.*?)"><bdi>(\d+)<', page)
        assert (len(figures), len(busiest)) == (3, 4)
        for address, number in (*figures, *busiest):
            there = client.get(unescape(address)).text
            assert re.search(rf"<strong>{number}</strong>|: {number} in this period", there), address


def test_the_busiest_matters_lead_to_their_views(tmp_path: Path) -> None:
    """The most visits first, five at most, none without a visit."""
    views = [
        ago(number, matter_id=f"m-{matter}", matter_name=f"Project {matter}")
        for matter in range(7)
        for number in range(matter)
    ]
    with running_site(tmp_path, *views) as site:  # type: ignore[arg-type]
        site.clock.now = NOW
        client = site.signed_in()
        page = client.get("/").text
        links = re.findall(r'<th scope="row"><a href="(.*?)"><bdi>(.*?)</bdi>', page)
        assert [name for _, name in links] == [f"Project {matter}" for matter in (6, 5, 4, 3, 2)]
        there = client.get(unescape(links[0][0])).text
        assert "<bdi>Project 6</bdi></h1>" in there
        (address, number) = re.search(r'<dt>Views</dt><dd><a href="(.*?)">(\d+)</a>', there).groups()  # type: ignore[union-attr]
        assert f"<strong>{number}</strong>" in client.get(unescape(address)).text
        assert number == "6"
    assert "The log does not cover all of the 30 days before" in page
