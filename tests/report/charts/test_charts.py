"""Pictures: what their titles say, what they hold, and that a name is never more than a name."""

import base64
import hashlib
import json
import re
import struct
import zlib
from datetime import date, timedelta
from typing import Any, Final, cast
from xml.etree import ElementTree as ET

import altair as alt
import pytest

from matterlog.report.charts import Look, Picture, PictureFormat, draw, render
from matterlog.report.charts.findings import busiest, counted, listed, share
from matterlog.report.charts.names import labels
from matterlog.report.engagement.analyses import ANALYSES, asked_by_name
from matterlog.report.engagement.engagement_period import Bucket
from matterlog.report.errors import InvalidFilter
from tests.report.engagement.answers import (
    DAYS,
    REQUEST,
    a_client,
    a_day,
    a_matter,
    a_user,
    asking,
    course,
    everything,
    week,
)

HOSTILE: Final = '\x00\x1b\ufffe\u202e</script><script>alert(1)</script>\' || datum.x {{7*7}} & "quoted"'
RIGHT_TO_LEFT: Final = "مجموعة الخليج"
NOTHING: Final[dict[str, list[dict[str, Any]]]] = {
    **{analysis: [] for analysis in ANALYSES},
    "weekday-hours": week(),
    "activity": [a_day(DAYS[0], 0)],
}
SVG: Final = "{http://www.w3.org/2000/svg}"
each_subject = pytest.mark.parametrize("subject", asked_by_name())


def a_picture(subject: str, tables: dict[str, list[dict[str, Any]]], *, all_time: bool = False) -> Picture:
    return draw(subject, REQUEST, asking(tables, all_time=all_time))


def titles(picture: Picture) -> list[str]:
    """The finding of the picture and the title of each panel."""
    panels = [panel["title"] for panel in picture.body["vconcat"] if "title" in panel]
    return [picture.finding, *(title if isinstance(title, str) else title["text"] for title in panels)]


def activity(days: list[dict[str, Any]], **hours: int) -> list[str]:
    return titles(a_picture("activity", {"activity": days, "weekday-hours": week(**hours)}))


def matters(*rows: dict[str, Any]) -> Picture:
    return a_picture("matters", {"matters": list(rows), "matter-activity": course(*rows)})


def users(*rows: dict[str, Any], all_time: bool = False) -> list[str]:
    return titles(a_picture("users", {"users": list(rows)}, all_time=all_time))


def clients(*rows: dict[str, Any], all_time: bool = False) -> str:
    return a_picture("clients", {"clients": list(rows)}, all_time=all_time).finding


def test_activity_names_the_busiest_day_and_hour() -> None:
    days = [a_day(DAYS[0], 3, 1), a_day(DAYS[1], 2)]
    assert activity(days, d2h10=4, d1h9=2) == [
        "6 visits, 17% of them by guests",
        "Mon 2 Nov 2026 is the busiest day: 4 visits",
        "Tuesday 10:00 is the busiest hour: 4 visits",
    ]


def test_activity_names_all_that_are_equal_or_counts_them() -> None:
    days = [a_day(day, 1) for day in DAYS[:3]] + [a_day(DAYS[3], 0)]
    assert activity(days, d1h9=1, d3h9=1) == [
        "3 visits, all by members",
        "Mon 2 Nov 2026, Tue 3 Nov 2026 and Wed 4 Nov 2026 are the busiest days: 1 visit each",
        "Monday 09:00 and Wednesday 09:00 are the busiest hours: 1 visit each",
    ]
    assert activity(days, d1h9=1, d2h9=1, d3h9=1, d4h9=1)[2] == "4 hours are equally the busiest: 1 visit each"


def test_one_visit_is_one_visit() -> None:
    assert activity([a_day(DAYS[0], 0, 1)], d1h9=1) == [
        "1 visit, all by guests",
        "Mon 2 Nov 2026: 1 visit",
        "Monday 09:00 is the busiest hour: 1 visit",
    ]


@each_subject
def test_a_period_without_a_visit_says_so(subject: str) -> None:
    """And draws nothing that could be taken for a figure."""
    picture = a_picture(subject, NOTHING)
    assert titles(picture) == ["No visits in this period"]
    assert picture.body["datasets"] == {"nothing": [{"said": "The log holds no views yet."}]}
    assert render(picture, PictureFormat.SVG)


def test_matters_say_how_much_the_busiest_have() -> None:
    many = [a_matter(number, 100 if number < 8 else 0) for number in range(40)]
    assert titles(matters(*many)) == [
        "The busiest 8 of 40 matters have 100% of 800 visits",
        "The busiest, each line on its own scale",
        "The quietest: 32 of 40 matters had no visits, the longest unseen first",
    ]
    assert titles(matters(a_matter(1, 7))) == ["One matter, 7 visits", "Each line on its own scale"]
    assert titles(matters(a_matter(1, 7), a_matter(2, 7))) == [
        "The busiest of 2 matters has 50% of 14 visits",
        "The busiest, each line on its own scale",
        "The quietest: at most 7 visits each",
    ]


def test_no_matter_is_both_busiest_and_quietest() -> None:
    """Without a visit none is busy; of the quietest, the longest silent first."""
    picture = matters(*(a_matter(number, 0 if number > 1 else 1) for number in range(9)))
    body = picture.body
    shown = {part: list(dict.fromkeys(row["matter"] for row in rows)) for part, rows in body["datasets"].items()}
    assert [name[1:-1] for name in shown["busiest"]] == [f"Project {number}" for number in range(2)]
    assert [name[1:-1] for name in shown["quietest"]] == [f"Project {number}" for number in (8, 7, 6, 5, 4, 3, 2)]
    assert picture.finding == "The busiest 2 of 9 matters have 100% of 2 visits"


def test_a_matter_purged_between_two_questions_is_not_drawn() -> None:
    kept, purged = a_matter(1, 5), a_matter(2, 3, matter_name="Purged")
    picture = a_picture("matters", {"matters": [kept, purged], "matter-activity": course(kept)})
    assert b"Purged" not in render(picture, PictureFormat.HTML)


def test_users_count_who_is_new_and_who_has_gone_quiet() -> None:
    new, quiet = a_user(1, 2, status="new"), a_user(2, 0, status="gone quiet")
    assert users(new, quiet)[::2] == ["1 user, 2 visits", "1 new user, 1 gone quiet since the period before"]
    crowd = [a_user(number, 1) for number in range(20)]
    assert users(*crowd)[::2] == [
        "The 15 most active of 20 users made 75% of 20 visits",
        "0 new users, 0 gone quiet since the period before",
    ]


@pytest.mark.parametrize(("days_quiet", "recent"), [(6, 1), (7, 0)])
def test_for_all_time_users_are_told_by_when_they_were_last_seen(days_quiet: int, recent: int) -> None:
    """Nobody is new where there is no period before."""
    one = a_user(1, 2, status=None, days_quiet=days_quiet)
    assert users(one, all_time=True)[2] == f"{recent} of 1 user came in the last 7 days"


def test_clients_say_what_is_wrong_first() -> None:
    active, public = a_client(1, 5, "active"), a_client(9, 5, "gone quiet", client_kind="public mail")
    assert clients(active) == "The one client is active"
    assert clients(active, a_client(2, 1, "active"), public) == "All 2 clients are active"
    trouble = a_client(2, 0, "gone quiet"), a_client(3, 1, "cooling"), a_client(4, 0, "never came", before=0)
    assert clients(active, *trouble) == "Of 4 clients, 1 has gone quiet, 1 is cooling and 1 never came"
    assert clients(a_client(1, 5, None, None), all_time=True) == "1 client, 5 visits"


def test_shares_never_round_something_to_nothing() -> None:
    """Nor nearly all to all."""
    assert [share(part, 1000) for part in (0, 1, 5, 500, 999, 1000)] == [
        *("0%", "under 1%", "under 1%", "50%", "over 99%", "100%")
    ]
    assert share(0, 0) == "0%"
    assert [counted(1, "visit"), counted(1000, "visit")] == ["1 visit", "1,000 visits"]
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert busiest([], unit="day", noun="visit") == busiest([("x", 0)], unit="day", noun="visit") == "No visits"


def test_a_bucket_that_is_cut_by_the_period_is_marked() -> None:
    """The period ends at noon of its last day."""
    picture = a_picture("activity", everything("Any"))
    marked = [row["begins_on"] for row in picture.body["datasets"]["over_time"] if row["unfinished"]]
    assert marked == ["2026-11-05", "2026-11-05"]
    assert "a ring marks an incomplete day" in picture.context


def test_more_buckets_than_a_picture_has_room_for_are_refused() -> None:
    days = [a_day(date(2020, 1, 1) + timedelta(days=number), 1) for number in range(2_001)]
    with pytest.raises(InvalidFilter, match="2,001 days do not fit in a picture"):
        draw("activity", REQUEST, asking({"activity": days, "weekday-hours": week()}), Bucket.DAY)


@each_subject
@pytest.mark.parametrize("look", Look)
def test_a_specification_is_valid_vega_lite(subject: str, look: Look) -> None:
    """By Vega-Lite's own schema; both looks are one description."""
    found = draw(subject, REQUEST, asking(everything("Any"))).spec(look)
    picture = a_picture(subject, everything("Any"))
    if look is Look.LIGHT:
        assert isinstance(alt.Chart.from_dict(found), alt.VConcatChart)
    else:
        assert isinstance(alt.Config.from_dict(cast("dict[str, Any]", found["config"])), alt.Config)
    assert {key: value for key, value in found.items() if key != "config"} == picture.body
    assert not re.search(r"#[0-9a-fA-F]{6}", json.dumps(picture.body))


@each_subject
def test_a_name_stands_in_the_data_alone(subject: str) -> None:
    """No title and no expression holds one."""
    body = dict(a_picture(subject, everything("Larch")).body)
    data = json.dumps(body.pop("datasets"))
    assert "Larch" not in json.dumps(body)
    assert ("Larch" in data) is (subject != "activity")


@each_subject
def test_a_picture_is_as_large_for_many_views_as_for_few(subject: str) -> None:
    """But for the digits of its numbers."""
    few, many = (a_picture(subject, everything("Any", times)).spec() for times in (1, 1_000_000))
    assert len(json.dumps(many)) < 1.5 * len(json.dumps(few))
    assert {name: len(rows) for name, rows in few["datasets"].items()} == {
        name: len(rows) for name, rows in many["datasets"].items()
    }


@each_subject
def test_an_svg_is_well_formed_and_says_what_it_shows(subject: str) -> None:
    """With a name that would break it, were it more than text."""
    picture = a_picture(subject, everything(HOSTILE))
    root = ET.fromstring(render(picture, PictureFormat.SVG))  # noqa: S314 - our own
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{SVG}title") == picture.finding
    assert (root.findtext(f"{SVG}desc") or "").startswith(picture.context)
    assert not list(root.iter(f"{SVG}script"))
    drawn = " ".join("".join(text.itertext()) for text in root.iter(f"{SVG}text"))
    assert ("</script><script>alert" in drawn) is (subject != "activity")


@each_subject
def test_a_png_is_not_blank(subject: str) -> None:
    png = render(a_picture(subject, everything("Any")), PictureFormat.PNG)
    width, height = struct.unpack(">II", png[16:24])
    assert width > 1000
    assert height > 500
    assert len(set(pixels(png))) > 100


def pixels(png: bytes) -> bytes:
    """The bytes of a PNG's rows, as its filters left them (PNG, 11.2.3)."""
    place, data = 8, b""
    while place < len(png):
        (length,), kind = struct.unpack(">I", png[place : place + 4]), png[place + 4 : place + 8]
        data += png[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += 12 + length
    return zlib.decompress(data)


@each_subject
def test_a_page_needs_no_network_and_a_name_does_not_end_its_script(subject: str) -> None:
    """Its policy allows its own script alone, by that script's hash."""
    page = render(a_picture(subject, everything(HOSTILE)), PictureFormat.HTML).decode()
    assert not re.search(r"<(link|img|iframe)|(src|href)=", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert [attributes for attributes, _ in scripts] == [' type="application/json" id="specification"', ""]
    specification, script = (text for _, text in scripts)
    assert "datasets" in json.loads(specification)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'" in page


def test_a_page_has_each_picture_as_tables_too() -> None:
    """With names uncut."""
    long = "x" * 300
    page = render(a_picture("matters", everything(long)), PictureFormat.HTML).decode()
    assert f"<td><bdi>{long}</bdi></td><td><bdi>M-0</bdi></td><td><bdi>9</bdi></td>" in page


def label(name: str, width: int) -> str:
    return labels([(name, "M-1")], width)[0]


def test_a_label_is_cut_to_its_room_and_keeps_its_direction_to_itself() -> None:
    """A letter keeps its accent; East Asian letters take two places."""
    assert label("Project Heron", 20) == "\u2068Project Heron\u2069"
    assert label("x" * 300, 20) == f"\u2068{'x' * 19}…\u2069"
    assert label("東京" * 20, 10) == "\u2068東京東京…\u2069"
    assert label("e\u0301" * 30, 10) == "\u2068" + "e\u0301" * 9 + "…\u2069"
    assert label(f"{RIGHT_TO_LEFT} {'x' * 40}", 20).startswith(f"\u2068{RIGHT_TO_LEFT} x")
    assert label("\u202eevil\u2069\n \x00 name", 20) == "\u2068evil name\u2069"
    assert label("\u200b\x07", 20) == "\u2068(no name)\u2069"


def test_labels_that_would_look_alike_have_their_id() -> None:
    long = "Project Heron: acquisition of "
    pairs = [(long + "A", "M-1"), (long + "B", "M-2"), ("Larch", "M-3")]
    first, second, third = labels(pairs, 20)
    assert (first, second) == (
        "\u2068Project Heron…\u2069 (\u2068M-1\u2069)",
        "\u2068Project Heron…\u2069 (\u2068M-2\u2069)",
    )
    assert third == "\u2068Larch\u2069"


@pytest.mark.parametrize(("name", "format_"), [("a.svg", "svg"), ("a.b.PNG", "png"), ("x/y.html", "html")])
def test_a_files_name_says_its_format(name: str, format_: str) -> None:
    assert PictureFormat.of(name) == format_


@pytest.mark.parametrize("name", ["svg", "a.pdf", "a.svg.gz", "a."])
def test_a_files_name_without_a_format_of_pictures_is_refused(name: str) -> None:
    with pytest.raises(InvalidFilter, match=r"does not end with \.svg, \.png or \.html"):
        PictureFormat.of(name)
