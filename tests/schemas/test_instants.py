"""Instants as the tables have them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from matterlog.schemas.instants import as_stored, is_ahead, stored_now, utc_now

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("hours", [-11, 0, 14])
def test_an_instant_is_stored_in_utc_without_a_zone(hours: int) -> None:
    """Whatever zone it was told in."""
    told = NOON.astimezone(timezone(timedelta(hours=hours)))
    assert as_stored(told) == datetime(2026, 3, 1, 12, 0, 0, 5)  # noqa: DTZ001 - as the tables have it


@pytest.mark.parametrize(("end", "hours"), [(datetime.min, 14), (datetime.max, -11)])  # noqa: DTZ901 - as stored
def test_an_instant_beyond_the_calendar_is_stored_as_its_end(end: datetime, hours: int) -> None:
    """A manifest may name one, with another offset than that of UTC."""
    assert as_stored(end.replace(tzinfo=timezone(timedelta(hours=hours)))) == end


def test_an_instant_is_ahead_by_more_than_clocks_differ() -> None:
    """Five minutes."""
    assert [is_ahead(NOON + timedelta(minutes=5, seconds=each), NOON) for each in (-600, 0, 1)] == [False, False, True]


def test_none_stays_none() -> None:
    """A filter has no end where nobody named one."""
    assert as_stored(None) is None


def test_both_say_the_same_instant() -> None:
    """One with its zone, one as the tables have it."""
    before = utc_now()
    stored = stored_now().replace(tzinfo=UTC)
    assert before <= stored <= utc_now()
