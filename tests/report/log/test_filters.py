"""Which rows a person's words mean."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from matterlog.report.errors import InvalidFilter
from matterlog.report.log.filters import Filter

NOW: Final = datetime(2026, 11, 22, 14, 5, 9, 123456, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)


def _edges(first_day: str | None = None, last_day: str | None = None) -> tuple[datetime | None, datetime | None]:
    found = Filter.of(now=NOW, first_day=first_day, last_day=last_day)
    return found.since, found.until


def test_nothing_asked_for_filters_nothing() -> None:
    """All time is the default."""
    assert not any(Filter.of(now=NOW).parameters().values())


def test_an_end_day_is_in_to_its_last_microsecond_and_the_next_day_is_out() -> None:
    """The end is the next midnight, which is outside."""
    since, until = _edges("2026-11-22", "2026-11-22")
    assert since == datetime(2026, 11, 22, tzinfo=UTC)
    assert until == datetime(2026, 11, 23, tzinfo=UTC)


def test_an_instant_is_included_at_either_end() -> None:
    """As a person means it: from this one to that one."""
    assert _edges("2026-11-22T14:05:09Z", "2026-11-22T14:05:09Z") == (
        datetime(2026, 11, 22, 14, 5, 9, tzinfo=UTC),
        datetime(2026, 11, 22, 14, 5, 9, 1, tzinfo=UTC),
    )


def test_an_instant_of_another_zone_is_turned_into_utc() -> None:
    """Also over midnight."""
    since, until = _edges("2026-11-22T23:30:00-05:00", "2026-11-24T01:00:00.5+05:45")
    assert since == datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
    assert until == datetime(2026, 11, 23, 19, 15, 0, 500_000, tzinfo=UTC) + TICK


def test_the_statements_get_times_in_utc_without_a_zone() -> None:
    """As the table has them."""
    parameters = Filter.of(now=NOW, first_day="2026-11-22T23:30:00-05:00").parameters()
    assert parameters["since"] == datetime(2026, 11, 23, 4, 30)  # noqa: DTZ001 - on purpose


@pytest.mark.parametrize("last_day", ["9999-12-31", "9999-12-31T23:59:59.999999Z"])
def test_the_calendars_last_day_has_no_end(last_day: str) -> None:
    """Nothing can lie behind it."""
    assert _edges(None, last_day) == (None, None)


@pytest.mark.parametrize(("period", "days"), [("1d", 1), ("30d", 30), ("90d", 90), ("99999d", 99_999)])
def test_the_last_days_are_whole_and_today_is_one_of_them(period: str, days: int) -> None:
    """To the end of today, at whatever hour one asks."""
    found, today = Filter.of(now=NOW, last=period), datetime(2026, 11, 22, tzinfo=UTC)
    assert (found.since, found.until) == (today - timedelta(days=days - 1), today + timedelta(days=1))


def test_the_last_days_are_those_of_the_time_zone() -> None:
    """In Auckland it is tomorrow already, and clocks went forward on 27 September."""
    found = Filter.of(now=NOW, last="60d", zone=ZoneInfo("Pacific/Auckland"))
    assert (found.since, found.until) == (datetime(2026, 9, 24, 12, tzinfo=UTC), datetime(2026, 11, 23, 11, tzinfo=UTC))


def test_all_time_has_a_word_and_the_default_holds_without_any() -> None:
    """Days replace the default."""
    days = Filter.of(now=NOW, last="30d")
    assert Filter.of(now=NOW, last="all", default="30d") == Filter()
    assert Filter.of(now=NOW, default="30d") == days
    assert Filter.of(now=NOW, last_day="2026-11-01", default="30d").since is None


@pytest.mark.parametrize("period", ["", "0d", "-1d", "30", "30 d", "30D", "4w", "1.5d", "100000d", "٣d"])
def test_what_is_no_period_is_refused_with_an_example(period: str) -> None:
    """Days are the only unit."""
    with pytest.raises(InvalidFilter, match="is not a period: write a number of days, such as 30d or 90d"):
        Filter.of(now=NOW, last=period)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2026-11", "2026-13-01", "2026-02-30", "22.11.2026", "11/22/2026", "20261122T140509"),
        *("2026-11-22T14:05:09", "2026-11-22T25:00:00Z", "2026-11-22T14:05:09 o'clock", "２０２６-１１-２２"),  # noqa: RUF001
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "\0", "=1+1", "--to"),
    ],
)
@pytest.mark.parametrize("end", ["first_day", "last_day"])
def test_what_is_no_date_is_refused_with_an_example(text: str, end: str) -> None:
    """An instant without its zone is none either."""
    with pytest.raises(InvalidFilter, match="is not a date: write a day like 2026-11-22, or an instant like"):
        Filter.of(now=NOW, first_day=text) if end == "first_day" else Filter.of(now=NOW, last_day=text)


@pytest.mark.parametrize(
    ("first_day", "last_day"), [("2026-11-23", "2026-11-22"), ("2026-11-22T14:05:09.000001Z", "2026-11-22T14:05:09Z")]
)
def test_an_end_before_its_beginning_is_refused(first_day: str, last_day: str) -> None:
    """An empty extract would look like an answer."""
    with pytest.raises(InvalidFilter, match=f"--from {first_day} is after --to {last_day}"):
        _edges(first_day, last_day)


@pytest.mark.parametrize(("first_day", "last_day"), [("2026-11-22", None), (None, "2026-11-22")])
def test_a_period_goes_without_dates(first_day: str | None, last_day: str | None) -> None:
    """Which of the two would win is nobody's guess."""
    with pytest.raises(InvalidFilter, match="--last cannot be combined with --from or --to"):
        Filter.of(now=NOW, last="30d", first_day=first_day, last_day=last_day)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "All views."),
        ({"users": ("u-1",)}, "All views by user u-1."),
        ({"matters": ("m-1", "m-2", "m-3")}, "All views of matters m-1, m-2 or m-3."),
        (
            {"first_day": "2026-10-01", "last_day": "2026-10-31"},
            "All views from 2026-10-01 to the end of 2026-10-31 (UTC).",
        ),
        ({"first_day": "2026-10-01T00:30:00+02:00"}, "All views from 2026-09-30T22:30:00 (UTC)."),
        ({"last_day": "2026-10-01T12:00:00Z"}, "All views to 2026-10-01T12:00:00 (UTC)."),
        (
            {
                "user_types": ("Guest",),
                "companies": ("c-1", "c-2"),
                "matter_types": ("live",),
                "last_day": "2026-10-31",
            },
            "All views by guests by people of companies c-1 or c-2 of live matters to the end of 2026-10-31 (UTC).",
        ),
    ],
)
def test_a_filter_is_a_sentence(asked: dict[str, Any], words: str) -> None:
    """Which a person understands who has only the manifest."""
    assert Filter.of(now=NOW, **asked).words() == words


def test_a_filter_is_data() -> None:
    """Out and in again, as JSON."""
    asked = Filter.of(now=NOW, last="30d", matters=("m-1",), companies=("c-1",), user_types=("Guest",))
    assert Filter.model_validate_json(asked.model_dump_json()) == asked


def test_a_filter_that_names_matters_holds_no_other() -> None:
    """One that names none may hold any."""
    assert Filter(matters=("m-1",)).may_hold("m-1")
    assert not Filter(matters=("m-1",)).may_hold("m-2")
    assert Filter(users=("u-1",)).may_hold("m-2")


def test_a_day_of_a_time_zone_is_as_long_as_its_clocks_make_it() -> None:
    """London, the day on which clocks go forward: 23 hours."""
    london = ZoneInfo("Europe/London")
    day = Filter.of(now=NOW, first_day="2026-03-29", last_day="2026-03-29", zone=london)
    assert (day.since, day.until) == (datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 23, tzinfo=UTC))


def test_a_calendars_first_day_begins_no_earlier_than_the_calendar() -> None:
    """East of Greenwich it would."""
    first = Filter.of(now=NOW, first_day="0001-01-01", zone=ZoneInfo("Asia/Kolkata"))
    assert first.since == datetime.min.replace(tzinfo=UTC)
