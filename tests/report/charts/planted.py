"""A log with planted silences, bursts, newcomers and a change of the clock, small enough to work out by hand.

The week that is looked at is 23 to 29 March 2026 in London, where clocks go forward on the 29th at 01:00 UTC. Ann and
fay are members, the others guests. The views of each week go with the names of weeks: 0 is the one looked at, 1 the one
before it, and so on.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from matterlog.schemas import MatterType, MatterViewed, UserType
from testbed.events import a_view

PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "ann": {"user_type": UserType.MEMBER, "user_email": "ann@firm.example", "user_name": "Ann Old"},
    "bob": {"user_email": "bob@acme.example", "user_company_id": "c-1", "user_company_name": "Acme"},
    "cy": {"user_email": "cy@GMail.com"},
    "dee": {"user_email": "dee@Delta.example"},
    "eve": {"user_type": UserType.MEMBER, "user_email": "eve@firm.example"},
    "fay": {"user_type": UserType.MEMBER, "user_email": "fay@firm.example"},
    "gus": {"user_email": "gus@gull.example", "user_company_name": "Gull"},
    "hal": {"user_email": "hal@heron.example"},
}
MONDAY: Final = date(2026, 3, 23)


def at(text: str) -> datetime:
    """An instant of 2026, such as ``03-29 01:00:00``, in UTC."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


def seen(user: str, matter: str, *instants: str, **changes: Any) -> Iterator[MatterViewed]:
    """A user's views of a matter."""
    who = {"user_type": UserType.GUEST, "user_name": user.title(), "user_id": user} | PEOPLE[user]
    for instant in instants:
        yield a_view(matter_id=matter, matter_name=f"Project {matter}", matter_viewed_at=at(instant), **who | changes)


def week(number: int, days: int, clock: str) -> list[str]:
    """Instants at one time of day on the first days of a week."""
    monday = MONDAY - timedelta(weeks=number)
    return [f"{monday + timedelta(days=day):%m-%d} {clock}" for day in range(days)]


def planted_views() -> Iterator[MatterViewed]:
    """Every view, in no order that matters."""
    yield from seen("ann", "m-1", *week(6, 1, "09:00"), *week(5, 4, "09:00"), *week(4, 4, "09:00"))
    yield from seen("ann", "m-1", *week(3, 5, "09:00"), *week(2, 4, "09:00"), *week(1, 3, "09:00"))
    yield from seen("ann", "m-1", *week(0, 5, "09:00"))
    yield from seen("ann", "m-1", "04-05 09:00", user_name="Ann New")
    yield from seen("ann", "m-4", "03-27 15:00")
    yield from seen("ann", "demo", *week(0, 7, "11:00"), matter_type=MatterType.DEMO)
    # A burst: 59 s, 60 s, and 61 s, which begins a visit.
    yield from seen("bob", "m-1", "03-23 09:30:00", "03-23 09:30:59", "03-23 09:31:59", "03-23 09:33:00")
    yield from seen("bob", "m-1", *week(0, 5, "09:30")[1:])
    yield from seen("cy", "m-1", "03-29 00:30")
    # Both sides of the change of the clock, and of the week's end.
    yield from seen("dee", "m-1", "02-09 10:00", "03-29 01:00", "03-29 22:59:59", "03-29 23:00")
    yield from seen("eve", "m-1", "03-25 12:00")
    for number in (6, 5, 4, 3, 2, 1):
        yield from seen("fay", "m-2", *week(number, 6, "10:00"))
    yield from seen("gus", "m-3", "02-20 16:00")
    hours = [f"03-17 {hour:02}:00" for hour in range(9, 17)]
    yield from seen("hal", "m-5", *hours, user_company_id="c-3", user_company_name="Heron & Co")
    yield from seen("hal", "m-5", "03-24 16:00", "03-24 17:00")  # as the first version of the event: no company
