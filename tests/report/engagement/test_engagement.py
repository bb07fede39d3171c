"""Each figure of each analysis, against values worked out by hand from the planted log."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import chain, product
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import pytest
from rich.console import Console

from matterlog.app.terminal.engagement_text import print_engagement
from matterlog.consumers.database.store import Store
from matterlog.report.charts.picture import nothing
from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.engagement.engagement import Engagement, EngagementRequest, Names, read_engagement
from matterlog.report.engagement.engagement_period import Bucket
from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import Filter
from matterlog.report.log.reader import open_for_reading
from matterlog.report.log.snapshot import Snapshot, read_snapshot
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_view
from tests.report.charts.planted import at, planted_views, seen, week
from tests.report.logs import a_log, apply, extract_of

WEEK: Final = Filter(since=at("03-23 00:00"), until=at("03-29 23:00"))
NOW: Final = at("04-10 12:00")


def ask(paths: DatabaseFiles, analysis: str, **fields: Any) -> Engagement:
    """Ask about London's week of 23 March 2026, unless the fields say otherwise."""
    asked: dict[str, Any] = {"now": NOW, "filter": WEEK, "timezone": "Europe/London"}
    with open_for_reading(paths) as connection:
        answer = read_engagement(connection, EngagementRequest(analysis=analysis, **asked | fields))
    assert answer.table.schema == ANALYSES[analysis].columns
    return answer


def rows(answer: Engagement, *fields: str) -> dict[Any, tuple[Any, ...]]:
    """These fields of each row, by its first column."""
    key = answer.table.column_names[0]
    return {row[key]: tuple(row[field] for field in fields) for row in answer.table.to_pylist()}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    return a_log(tmp_path_factory.mktemp("planted"), *planted_views())


@pytest.fixture
def log_of(tmp_path: Path) -> Callable[..., DatabaseFiles]:
    """Makes the test's own log."""
    return lambda *views: a_log(tmp_path, *views)


def test_users_are_counted_and_told_by_when_they_came(planted: DatabaseFiles) -> None:
    """Views, visits, matters, active days, days quiet, visits before, trend, status."""
    figures = ("views", "visits", "matters", "active_days", "days_quiet", "visits_before", "trend", "status")
    assert rows(ask(planted, "users"), *figures) == {
        "bob": (8, 6, 1, 5, 2, 0, None, "new"),
        "ann": (6, 6, 2, 5, 2, 3, 1.0, "returning"),
        "hal": (2, 2, 1, 1, 5, 8, -0.75, "returning"),
        "dee": (2, 2, 1, 1, 0, 0, None, "returning"),
        "eve": (1, 1, 1, 1, 4, 0, None, "new"),
        "cy": (1, 1, 1, 1, 0, 0, None, "new"),
        "fay": (0, 0, 0, 0, 8, 6, -1.0, "gone quiet"),
        "gus": (0, 0, 0, 0, 37, 0, None, "long quiet"),
    }


def test_users_come_in_the_order_of_their_visits(planted: DatabaseFiles) -> None:
    """Then of their views, then of who came last."""
    order = ["bob", "ann", "dee", "hal", "cy", "eve", "fay", "gus"]
    assert ask(planted, "users").table["user_ID"].to_pylist() == order


def test_a_user_has_a_first_and_a_last_view_up_to_the_periods_end(planted: DatabaseFiles) -> None:
    """Those after it are not known yet."""
    seen_at = rows(ask(planted, "users"), "user_type", "first_view_at", "last_view_at")
    assert seen_at["ann"] == ("Member", at("02-09 09:00"), at("03-27 15:00"))
    assert seen_at["dee"] == ("Guest", at("02-09 10:00"), at("03-29 22:59:59"))


@pytest.mark.parametrize(
    ("days", "who"), [(1, {"bob", "ann", "hal", "eve", "fay", "gus"}), (8, {"fay", "gus"}), (9, {"gus"}), (38, set())]
)
def test_who_was_not_seen_in_so_many_days(planted: DatabaseFiles, days: int, who: set[str]) -> None:
    """Fay was last seen on the 21st: eight days before the 29th."""
    assert set(rows(ask(planted, "users", quiet_for_days=days))) == who


def test_names_are_the_latest_or_those_of_the_views_that_are_counted(planted: DatabaseFiles) -> None:
    """Ann got a new name after the week."""
    assert rows(ask(planted, "users"), "user_name")["ann"] == ("Ann New",)
    assert rows(ask(planted, "users", names=Names.AS_VIEWED), "user_name")["ann"] == ("Ann Old",)


def test_raw_views_count_each_view(planted: DatabaseFiles) -> None:
    """Bob's four on Monday too."""
    answer = ask(planted, "users", raw_views=True)
    assert rows(answer, "views", "visits")["bob"] == (8, 8)
    assert (answer.facts.views, answer.facts.visits) == (20, 20)


def test_matters_are_counted_by_members_and_guests(planted: DatabaseFiles) -> None:
    """Views, visits, those of members and guests, people, members, guests."""
    figures = ("views", "visits", "member_visits", "guest_visits", "people", "members", "guests")
    assert rows(ask(planted, "matters"), *figures) == {
        "m-1": (17, 15, 6, 9, 5, 2, 3),
        "m-5": (2, 2, 0, 2, 1, 0, 1),
        "m-4": (1, 1, 1, 0, 1, 1, 0),
        "m-2": (0, 0, 0, 0, 0, 0, 0),
        "m-3": (0, 0, 0, 0, 0, 0, 0),
    }


def test_matters_have_times_and_a_trend(planted: DatabaseFiles) -> None:
    """Monday, Wednesday and Sunday have three visits each: the earliest is the busiest."""
    figures = ("last_view_at", "busiest_day", "busiest_hour", "visits_before", "trend")
    assert rows(ask(planted, "matters"), *figures) == {
        "m-1": (at("03-29 22:59:59"), date(2026, 3, 23), 9, 3, 4.0),
        "m-5": (at("03-24 17:00"), date(2026, 3, 24), 16, 8, -0.75),
        "m-4": (at("03-27 15:00"), date(2026, 3, 27), 15, 0, None),
        "m-2": (at("03-21 10:00"), None, None, 6, -1.0),
        "m-3": (at("02-20 16:00"), None, None, 0, None),
    }


def test_matters_are_marked_against_their_own_weeks(planted: DatabaseFiles) -> None:
    """m-1 had 4, 4, 5, 4 and 3 visits, m-2 six each week, m-3 none in its four; m-4 and m-5 are younger than four."""
    marks = rows(ask(planted, "matters"), "week_visits", "usual_week", "score", "mark")
    assert marks == {
        "m-1": (15, 4.0, pytest.approx(3.5585, abs=0.0001), "bursting"),
        "m-2": (0, 6.0, pytest.approx(-2.5936, abs=0.0001), "quiet"),
        "m-3": (0, 0.0, 0.0, "quiet"),
        "m-4": (1, None, None, "new"),
        "m-5": (2, None, None, "new"),
    }


def test_a_matter_whose_weeks_differ_is_judged_by_how_much_they_do(log_of: Callable[..., DatabaseFiles]) -> None:
    """After 16, 2, 4, 9 and 1 visits (median 4, deviation 2.583 on the scale of the power 2/3) 15 are normal."""
    views = [seen("ann", "m-1", *week(6, 1, "09:00"))]
    for number, visits in enumerate((15, 1, 9, 4, 2, 16)):
        views += [seen("ann", "m-1", *week(number, 1, f"{hour:02}:00")) for hour in range(visits)]
    marks = rows(ask(log_of(*chain(*views)), "matters"), "week_visits", "usual_week", "score", "mark")
    assert marks == {"m-1": (15, 4.0, pytest.approx(1.3265, abs=0.0001), "normal")}


def test_clients_are_companies_then_domains_and_providers(planted: DatabaseFiles) -> None:
    """Hal's views without a company belong to the one that he is known to be of; 2 after 8 visits is cooling."""
    answer = ask(planted, "clients", expected=("DELTA.example", "acme", "C-1", "gull.example", "Nobody & Co"))
    columns = [name for name in ANALYSES["clients"].columns.names if not name.endswith("_at")]
    assert [tuple(row[name] for name in columns) for row in answer.table.to_pylist()] == [
        ("company", "c-1", "Acme", 8, 6, 1, 1, 1, 1.0, 0, None, "active"),
        ("domain", "delta.example", "delta.example", 2, 2, 1, 1, 1, 1.0, 0, None, "active"),
        ("company", "c-3", "Heron & Co", 2, 2, 1, 1, 1, 1.0, 8, -0.75, "cooling"),
        ("public mail", "Gmail", "public mail: Gmail", 1, 1, 1, 1, 1, 1.0, 0, None, "active"),
        ("company", "Gull", "Gull", 0, 0, 0, 0, 1, 0.0, 0, None, "gone quiet"),
        ("expected", "Nobody & Co", "Nobody & Co", 0, 0, 0, 0, 0, None, 0, None, "never came"),
    ]


@pytest.mark.parametrize(
    "expected", ["CAFÉ  Müller & Söhne", "Cafe\u0301 Mu\u0308ller & So\u0308hne", "café\u00a0müller &\u2003söhne "]
)
def test_a_client_that_came_is_known_however_its_name_is_typed(
    log_of: Callable[..., DatabaseFiles], expected: str
) -> None:
    """In another form of Unicode, with other blanks, in capitals."""
    guest = {"user_type": UserType.GUEST, "matter_viewed_at": at("03-24 10:00")}
    paths = log_of(a_view(user_company_name="Café Mu\u0308ller &  Söhne", **guest))
    assert ask(paths, "clients", expected=(expected,)).table["health"].to_pylist() == ["active"]


def test_activity_has_every_day_of_the_period(planted: DatabaseFiles) -> None:
    """Saturday is empty, and Sunday has 23 hours."""
    answer = ask(planted, "activity")
    assert [tuple(row.values()) for row in answer.table.to_pylist()] == [
        (date(2026, 3, 23), 24.0, 5, 3, 1, 2, 2, 1),
        (date(2026, 3, 24), 24.0, 4, 4, 1, 3, 3, 2),
        (date(2026, 3, 25), 24.0, 3, 3, 2, 1, 3, 1),
        (date(2026, 3, 26), 24.0, 2, 2, 1, 1, 2, 1),
        (date(2026, 3, 27), 24.0, 3, 3, 2, 1, 2, 2),
        (date(2026, 3, 28), 24.0, 0, 0, 0, 0, 0, 0),
        (date(2026, 3, 29), 23.0, 3, 3, 0, 3, 2, 1),
    ]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (Bucket.WEEK, [(date(2026, 3, 23), 167.0, 18), (date(2026, 3, 30), 168.0, 1), (date(2026, 4, 6), 109.0, 0)]),
        (Bucket.MONTH, [(date(2026, 3, 1), 215.0, 18), (date(2026, 4, 1), 229.0, 1)]),
    ],
)
def test_activity_goes_by_weeks_and_months(
    planted: DatabaseFiles, by: Bucket, expected: list[tuple[date, float, int]]
) -> None:
    """From 23 March to now, 13:00 in London on 10 April. Dee's last view goes on with the visit that ended the week."""
    table = ask(planted, "activity", by=by, filter=Filter(since=WEEK.since)).table
    assert list(zip(*(table[name].to_pylist() for name in ("begins_on", "hours", "visits")), strict=True)) == expected


def test_a_matters_activity_is_its_own(planted: DatabaseFiles) -> None:
    """Every known matter has every bucket, those without a view too."""
    answer = ask(planted, "matter-activity", filter=WEEK.model_copy(update={"matters": ("m-3", "m-5")}))
    table = answer.table.to_pylist()
    assert len(table) == 2 * 7
    assert [tuple(row.values()) for row in table if row["visits"]] == [
        ("m-5", "Project m-5", date(2026, 3, 24), 2, 2, 0, 2)
    ]


def test_hours_are_those_of_the_zones_clock(planted: DatabaseFiles) -> None:
    """On Sunday 00:30 UTC is 00:30, and 01:00 UTC is 02:00; no clock shows 01:00."""
    table = ask(planted, "weekday-hours").table.to_pylist()
    assert len(table) == 168
    found = {(row["weekday"], row["hour"]): (row["visits"], row["member_visits"], row["guest_visits"]) for row in table}
    assert {key: value for key, value in found.items() if value[0]} == {
        (1, 9): (3, 1, 2),
        (2, 9): (2, 1, 1),
        (2, 16): (1, 0, 1),
        (2, 17): (1, 0, 1),
        (3, 9): (2, 1, 1),
        (3, 12): (1, 1, 0),
        (4, 9): (2, 1, 1),
        (5, 9): (2, 1, 1),
        (5, 15): (1, 1, 0),
        (7, 0): (1, 0, 1),
        (7, 2): (1, 0, 1),
        (7, 23): (1, 0, 1),
    }


@pytest.mark.parametrize(
    "asked", [{"include_demo": True}, {"filter": WEEK.model_copy(update={"matter_types": (MatterType.DEMO,)})}]
)
def test_demo_matters_count_where_they_are_asked_for(planted: DatabaseFiles, asked: dict[str, Any]) -> None:
    """By an option, or because the filter names their type."""
    answer = ask(planted, "matters", **asked)
    assert rows(answer, "visits")["demo"] == (7,)
    assert answer.facts.demo_views_left_out == 0


def test_the_facts_say_what_a_table_rests_on(planted: DatabaseFiles) -> None:
    """The period before has seven days as well, so it begins on a midnight."""
    facts = ask(planted, "matters").facts
    assert (facts.since, facts.until, facts.before_since) == (WEEK.since, WEEK.until, at("03-16 00:00"))
    assert (facts.views, facts.visits, facts.demo_views_left_out) == (20, 18, 7)
    assert (facts.log_views, facts.log_since, facts.log_until) == (96, at("02-09 09:00"), at("04-05 09:00"))


def test_the_facts_count_the_demo_views_of_the_filter_alone(planted: DatabaseFiles) -> None:
    """Not those of the whole log."""
    for chosen in ({"matters": ("demo",)}, {"matters": ("nothing",)}, {"users": ("nobody",)}):
        facts = ask(planted, "users", filter=WEEK.model_copy(update=chosen)).facts
        assert facts.demo_views_left_out == (7 if chosen == {"matters": ("demo",)} else 0)


@pytest.mark.parametrize("analysis", list(ANALYSES))
def test_many_users_are_counted_as_few_are(planted: DatabaseFiles, analysis: str) -> None:
    """Which are looked up in another way; unknown ones change nothing."""
    known = tuple(rows(ask(planted, "users"), "views"))[:2]
    few, many = (
        ask(planted, analysis, filter=WEEK.model_copy(update={"users": (*known, *more)}))
        for more in ((), tuple(f"nobody-{number}" for number in range(100)))
    )
    assert few.table.equals(many.table)
    assert few.facts == many.facts
    assert few.facts.views < ask(planted, analysis).facts.views


def test_all_time_has_no_period_before(planted: DatabaseFiles) -> None:
    """So nobody is new, no trend is told, and nothing is cooling."""
    everything = {"filter": Filter()}
    assert set(rows(ask(planted, "users", **everything), "visits_before", "trend", "status").values()) == {
        (None, None, None)
    }
    clients = ask(planted, "clients", expected=("nobody.example",), **everything)
    assert set(clients.table["health"].to_pylist()) == {None, "never came"}
    assert clients.facts.before_since is None


def test_the_filter_leaves_the_others_out(planted: DatabaseFiles) -> None:
    """Also of who is known: ann is new to m-4."""
    answer = ask(planted, "users", filter=WEEK.model_copy(update={"matters": ("m-4",)}))
    assert rows(answer, "visits", "status") == {"ann": (1, "new")}
    members = ask(planted, "users", filter=WEEK.model_copy(update={"user_types": (UserType.MEMBER,)}))
    assert set(rows(members)) == {"ann", "eve", "fay"}


def test_a_burst_over_the_periods_beginning_belongs_to_the_period_before(log_of: Callable[..., DatabaseFiles]) -> None:
    """The view counts, and the user was seen; the visit began earlier."""
    paths = log_of(*seen("bob", "m-1", "03-22 23:59:30", "03-23 00:00:00"))
    assert rows(ask(paths, "users"), "views", "visits", "visits_before", "status") == {"bob": (1, 0, 1, "returning")}


def test_a_burst_over_the_beginning_of_the_period_before_is_not_counted_there(
    log_of: Callable[..., DatabaseFiles],
) -> None:
    """The visit began earlier still, before anything that is compared."""
    paths = log_of(*seen("bob", "m-1", "03-15 23:59:30", "03-16 00:00:00"))
    assert rows(ask(paths, "users"), "visits_before", "status") == {"bob": (0, "gone quiet")}


def test_a_view_at_the_beginning_of_a_period_is_not_in_the_period_before(log_of: Callable[..., DatabaseFiles]) -> None:
    """And one at its end is in neither."""
    paths = log_of(*seen("bob", "m-1", "03-16 00:00", "03-23 00:00", "03-29 23:00"))
    assert rows(ask(paths, "users"), "visits", "visits_before") == {"bob": (1, 1)}


def test_days_are_those_of_the_zones_clock(log_of: Callable[..., DatabaseFiles]) -> None:
    """In Kolkata 18:29 UTC and 18:31 UTC are two days, of which the second is the last of the period."""
    week = Filter.of(now=NOW, first_day="2026-03-23", last_day="2026-03-29", zone=ZoneInfo("Asia/Kolkata"))
    paths = log_of(*seen("bob", "m-1", "03-28 18:29", "03-28 18:31"))
    answer = ask(paths, "users", filter=week, timezone="Asia/Kolkata")
    assert rows(answer, "visits", "active_days", "days_quiet") == {"bob": (2, 2, 0)}


def test_a_client_whose_few_visits_fell_by_chance_is_active(log_of: Callable[..., DatabaseFiles]) -> None:
    """Two visits after four are half of them, and chance explains that."""
    before = [f"03-17 {hour}:00" for hour in (10, 11, 12, 13)]
    paths = log_of(*seen("dee", "m-1", *before, "03-24 10:00", "03-24 11:00"))
    assert ask(paths, "clients").table["health"].to_pylist() == ["active"]


def test_other_matters_and_other_users_do_not_go_on_with_a_visit(log_of: Callable[..., DatabaseFiles]) -> None:
    """Not even in the same second."""
    paths = log_of(
        *seen("bob", "m-1", "03-24 10:00"), *seen("bob", "m-2", "03-24 10:00"), *seen("ann", "m-1", "03-24 10:00")
    )
    assert ask(paths, "activity").facts.visits == 3


def test_a_guest_who_became_a_member_is_one_person(log_of: Callable[..., DatabaseFiles]) -> None:
    """Of the type that came last; the visits stay what they were."""
    paths = log_of(*seen("bob", "m-1", "03-24 10:00"), *seen("bob", "m-1", "03-25 10:00", user_type=UserType.MEMBER))
    figures = ("people", "members", "guests", "member_visits", "guest_visits")
    assert rows(ask(paths, "matters"), *figures) == {"m-1": (1, 1, 0, 1, 1)}


# Zone, day, instants in UTC (the first is the day's beginning), hours of the day, visits by hour of the clock.
CLOCKS: Final[list[tuple[str, str, list[str], float, dict[int, int]]]] = [
    # Autumn in London: 01:30 comes twice, in a day of 25 hours.
    (
        "Europe/London",
        "10-25",
        ["10-24 23:00", "10-25 00:30", "10-25 01:30", "10-25 23:59:59"],
        25.0,
        {0: 1, 1: 2, 23: 1},
    ),
    # Five hours and a half ahead: the day begins at 18:30 UTC.
    ("Asia/Kolkata", "06-11", ["06-10 18:30", "06-11 18:29:59"], 24.0, {0: 1, 23: 1}),
    # Clocks go back by half an hour at 02:00: 01:45 comes twice.
    (
        "Australia/Lord_Howe",
        "04-05",
        ["04-04 13:00", "04-04 14:45", "04-04 15:15", "04-05 13:29:59"],
        24.5,
        {0: 1, 1: 2, 23: 1},
    ),
    # Clocks skip the hour from midnight: the day begins at 01:00.
    ("Africa/Cairo", "04-24", ["04-23 22:00", "04-24 20:59:59"], 23.0, {1: 1, 23: 1}),
    # Clocks go back at midnight: 23:30 comes twice.
    ("Africa/Cairo", "10-29", ["10-28 21:00", "10-29 20:30", "10-29 21:30"], 25.0, {0: 1, 23: 2}),
    # Clocks go back to midnight: 00:30 comes twice.
    ("Atlantic/Azores", "10-25", ["10-25 00:00", "10-25 00:30", "10-25 01:30", "10-26 00:59:59"], 25.0, {0: 3, 23: 1}),
]


@pytest.mark.parametrize("case", CLOCKS, ids=lambda case: f"{case[0]} {case[1]}")
def test_days_and_hours_are_exact_when_clocks_change(
    log_of: Callable[..., DatabaseFiles], case: tuple[str, str, list[str], float, dict[int, int]]
) -> None:
    """The day begins with its first instant, and its first and last second are in it."""
    zone, day, instants, hours, expected = case
    paths = log_of(*seen("bob", "m-1", *instants))
    whole_day = Filter.of(now=NOW, first_day=f"2026-{day}", last_day=f"2026-{day}", zone=ZoneInfo(zone))
    asked: dict[str, Any] = {"timezone": zone, "now": at("12-31 00:00"), "raw_views": True}
    activity = ask(paths, "activity", filter=whole_day, **asked)
    by_hour = ask(paths, "weekday-hours", filter=whole_day, **asked).table.to_pylist()
    assert activity.facts.since == at(instants[0])
    assert activity.facts.until - at(instants[-1]) <= timedelta(minutes=30)
    assert activity.table["hours"].to_pylist() == [hours]
    assert activity.table["visits"].to_pylist() == [len(instants)]
    assert {row["hour"]: row["visits"] for row in by_hour if row["visits"]} == expected


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize("asked", [WEEK, Filter()], ids=["a week", "all time"])
def test_an_empty_log_answers(log_of: Callable[..., DatabaseFiles], analysis: str, asked: Filter) -> None:
    """With nothing, or with zeros."""
    answer = ask(log_of(), analysis, filter=asked)
    assert (answer.facts.views, answer.facts.log_views, answer.facts.log_since) == (0, 0, None)
    days = 7 if asked is WEEK else 1
    sizes = {"activity": days, "weekday-hours": 168}
    assert answer.table.num_rows == sizes.get(analysis, 0)


def test_the_state_that_is_told_is_that_of_the_figures(
    log_of: Callable[..., DatabaseFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a batch is committed between the reading of the two."""
    with Store(log_of(*seen("bob", "m-1", "03-24 10:00"))) as store, store.reader() as connection:

        def read_before_a_batch(connection: duckdb.DuckDBPyConnection) -> Snapshot:
            snapshot = read_snapshot(connection)
            apply(store, *seen("bob", "m-1", "03-25 10:00"))
            return snapshot

        monkeypatch.setattr("matterlog.report.log.snapshot.read_snapshot", read_before_a_batch)
        answer = read_engagement(connection, EngagementRequest(analysis="users", now=NOW, filter=WEEK))
    assert (answer.facts.views, answer.snapshot.last_arrival) == (1, 1)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_one_row_answers(log_of: Callable[..., DatabaseFiles], analysis: str) -> None:
    """By a guest, so that each analysis has it."""
    answer = ask(log_of(*seen("bob", "m-1", "03-24 10:00")), analysis)
    assert (answer.facts.views, answer.facts.visits) == (1, 1)


@pytest.mark.parametrize("hour", ["00:00", "12:00", "23:59"])
def test_a_period_never_reaches_beyond_today(planted: DatabaseFiles, hour: str) -> None:
    """Or half a week would be compared with a whole one: here Monday to Wednesday, and three days before, all day."""
    facts = ask(planted, "users", now=at(f"03-25 {hour}")).facts
    assert (facts.until, facts.before_since) == (at("03-26 00:00"), at("03-20 00:00"))


def test_the_last_days_are_the_same_for_extract_and_engagement(log_of: Callable[..., DatabaseFiles]) -> None:
    """Views of later today are in, those of tomorrow are not, and those of all time that are left out are told."""
    now = at("03-25 12:00")
    paths = log_of(*seen("bob", "m-1", "03-18 23:59", "03-19 00:00", "03-25 23:59", "03-26 00:00", "12-31 23:59"))
    days = Filter.of(now=now, last="7d")
    answer = ask(paths, "activity", now=now, filter=days, timezone="UTC")
    assert answer.facts.views == 2 == len(extract_of(paths, format="ndjson", filter=days).splitlines())
    assert answer.facts.later_views_left_out == 0
    assert answer.table["hours"].to_pylist() == [24.0] * 6 + [12.0]
    everything = ask(paths, "activity", now=now, filter=Filter()).facts
    assert (everything.views, everything.later_views_left_out) == (3, 2)


def test_a_mark_does_not_depend_on_the_hour_at_which_one_looks(log_of: Callable[..., DatabaseFiles]) -> None:
    """Its week has seven times 24 hours, up to now."""
    now = at("04-10 12:00")
    paths = log_of(*seen("bob", "m-1", "04-03 12:30", "04-03 11:30"))
    assert rows(ask(paths, "matters", now=now, filter=Filter.of(now=now, last="30d")), "week_visits") == {"m-1": (1,)}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kathmandu", "Etc/GMT+12"])
def test_the_calendars_ends_are_instants_like_others(log_of: Callable[..., DatabaseFiles], zone: str) -> None:
    """In zones whose clocks would be beyond them, in the log and in what is asked for."""
    ends = (datetime(1970, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    paths = log_of(*(a_view(matter_viewed_at=instant) for instant in ends))
    days = (("0001-01-01", "9999-12-31T23:59:59.999999Z"), ("0001-01-01T00:00:00Z", "0001-01-02"))
    periods = [{"last": "all"}, {"last_day": "0001-01-01T00:00:00Z"}]
    periods += [{"first_day": first, "last_day": last} for first, last in days]
    now = datetime(1970, 3, 1, tzinfo=UTC)  # soon after the first instant: the years between would take long
    for analysis, period in product(ANALYSES, periods):
        asked = Filter.of(now=now, zone=ZoneInfo(zone), **period)
        answer = ask(paths, analysis, now=now, filter=asked, timezone=zone)
        assert answer.facts.log_until == ends[1]
        assert nothing(answer).finding == "No visits in this period"
        assert asked.words()
        if answer.request.spec.text:
            printed = io.StringIO()
            print_engagement(Console(file=printed, width=200), answer, 1)
            assert "to 9999-12-31" in printed.getvalue()


def test_a_period_before_has_the_same_days_on_the_clock(planted: DatabaseFiles) -> None:
    """The week from 30 March is an hour longer than the one before it, which begins at midnight as well."""
    after = Filter(since=at("03-29 23:00"), until=at("04-05 23:00"))
    assert ask(planted, "users", filter=after).facts.before_since == at("03-23 00:00")


@pytest.mark.parametrize("since", [NOW, at("05-01 00:00")])
def test_a_period_that_has_not_begun_is_refused(planted: DatabaseFiles, since: datetime) -> None:
    """Its zeros would look like silence."""
    with pytest.raises(InvalidFilter, match=r"the period begins at 2026-.* which is not before its end"):
        ask(planted, "users", filter=Filter(since=since))


@pytest.mark.parametrize("name", ["Europe/Londres", "", "/etc/passwd", "..", "Europe", "a" * 300, "\0"])
def test_what_is_no_time_zone_is_refused_with_an_example(name: str) -> None:
    """Names of folders and paths are none either."""
    with pytest.raises(InvalidFilter, match="is not a time zone: use an IANA name like Europe/London"):
        EngagementRequest(analysis="users", now=NOW, timezone=name)


@pytest.mark.parametrize("analysis", ANALYSES)
def test_users_and_matters_of_one_hash_are_told_apart(
    planted: DatabaseFiles, monkeypatch: pytest.MonkeyPatch, analysis: str
) -> None:
    """By their IDs, if two of those that are counted share one."""
    expected = ask(planted, analysis).table
    monkeypatch.setattr("matterlog.report.engagement.engagement._CODE", "hash({id}) % 2")
    assert ask(planted, analysis).table == expected


def test_who_has_no_view_to_be_counted_takes_nobodys(planted: DatabaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gus, who was last seen long before, has the hash of bob."""
    code = "CASE WHEN {id} IN ('gus', 'bob') THEN 1 ELSE hash({id}) END"
    monkeypatch.setattr("matterlog.report.engagement.engagement._CODE", code)
    assert rows(ask(planted, "users"), "visits")["gus"] == (0,)
    assert rows(ask(planted, "users"), "visits")["bob"] == (6,)


def test_a_client_is_the_same_with_each_address_of_a_guest(log_of: Callable[..., DatabaseFiles]) -> None:
    """Views count where they were made: with a company, without one, and from another address of the domain."""
    guest: dict[str, Any] = {"user_id": "dee", "user_type": UserType.GUEST}
    paths = log_of(
        a_view(matter_viewed_at=at("03-24 10:00"), user_email="dee@elm.example", **guest),
        a_view(matter_viewed_at=at("03-24 11:00"), user_email="D@ELM.example", **guest),
        a_view(matter_viewed_at=at("03-24 12:00"), user_email="x@elm.example", user_type=UserType.GUEST, user_id="eve"),
    )
    figures = ("client_ID", "views", "visits", "people", "people_known")
    assert rows(ask(paths, "clients"), *figures) == {"domain": ("elm.example", 3, 3, 2, 2)}
