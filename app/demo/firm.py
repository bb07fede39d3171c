"""A simulated law firm: its people, its matters and their views.

1. Everything depends only on the arguments: the same seed gives the same firm, and the same call of ``views`` gives
   the same events, byte for byte. There is no clock and no global random generator.
2. A **seat** is a person's place in a matter's deal team. Only people with a seat view the matter.
3. A matter has a **life** within the simulated period: it opens at one point and falls silent at another, both between
   0.0 (the start) and 1.0 (the end). Outside its life it has no views.
4. Views are made day by day: the number of a day's views is known beforehand, and only one day is in memory.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from random import Random
from typing import Final, NamedTuple, Self
from uuid import UUID

from matterlog.app.demo.firm_names import CLIENTS, FIRM, Company, Office, demo_name, matter_name, personal_name
from matterlog.schemas import MatterType, MatterViewed, UserType

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HOUR_US: Final = 3_600_000_000
_DAY_US: Final = 24 * _HOUR_US
_REFRESH_US: Final = 60_000_000
# One visit in thirty is followed by one to four refreshes.
_REFRESH_SHARE: Final = 1 / 30
_MAX_REFRESHES: Final = 4

# Relative activity in each hour of the local day, from midnight on.
_WEEKDAY: Final = (
    *(0.01, 0.01, 0.005, 0.005, 0.005, 0.01, 0.03, 0.12, 0.5, 0.9, 1.0, 1.0),
    *(0.7, 0.65, 0.95, 1.0, 0.95, 0.75, 0.4, 0.2, 0.15, 0.1, 0.06, 0.03),
)
_WEEKEND_SHARE: Final = 0.06
_SATURDAY: Final = 5

_GUEST_EVERY: Final = 3
_NO_COMPANY_EVERY: Final = 10
_DEMO_EVERY: Final = 10
_LIVES_EVERY: Final = 7
# With 40 matters the busiest has about 80 times the views of the quietest.
_SKEW: Final = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A member of the firm or a guest. Working hours are those of ``utc_offset``."""

    user_id: str
    name: str
    email: str
    user_type: UserType
    company: Company | None
    office: Office | None
    utc_offset: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """A deal or dispute. ``weight`` is its share of the views; ``opens`` and ``falls_silent`` limit its life."""

    matter_id: str
    name: str
    matter_type: MatterType
    client: Company
    weight: float
    opens: float
    falls_silent: float


@dataclass(frozen=True, slots=True)
class Seat:
    """A person's place in a matter's deal team. The seats of a matter share its weight."""

    person: Person
    matter: Matter
    weight: float


@dataclass(frozen=True, slots=True)
class Firm:
    """A simulated firm, made from a seed."""

    seed: int
    people: tuple[Person, ...]
    matters: tuple[Matter, ...]
    seats: tuple[Seat, ...]

    @classmethod
    def make(cls, *, seed: int, matters: int = 40, users: int = 120) -> Self:
        """Make the firm of this seed, with at least one matter and one user."""
        rng, taken = _generator(seed, "people"), set[str]()
        people = tuple(_person(rng, number, taken) for number in range(users))
        ours = _matters(_generator(seed, "matters"), matters)
        return cls(seed, people, ours, _seats(_generator(seed, "seats"), people, ours))

    def views(self, count: int, *, until: datetime, days: int = 120) -> Iterator[MatterViewed]:
        """Yield exactly ``count`` views of the ``days`` before ``until``, in ascending order of time and event ID.

        They are made lazily: memory holds one day's instants, whatever ``count`` is.
        """
        rng = _generator(self.seed, count, until.isoformat(), days)
        since, numbers = until - timedelta(days=days), itertools.count()
        weights = [_Day(self.seats, since, index, days).weight * rng.uniform(0.8, 1.2) for index in range(days)]
        for index, share in enumerate(_shares(count, weights)):
            day = _Day(self.seats, since, index, days)
            for after_us, number in day.visits(rng, share):
                seat, instant = self.seats[number], day.begins + timedelta(microseconds=after_us)
                yield self.view_of(seat.person, seat.matter, instant, _event_id(rng, instant, next(numbers)))

    @staticmethod
    def view_of(person: Person, matter: Matter, instant: datetime, event_id: UUID) -> MatterViewed:
        """Return the event of this person's view of this matter."""
        company, office = person.company, person.office
        return MatterViewed(
            event_id=event_id,
            user_id=person.user_id,
            user_name=person.name,
            user_email=person.email,
            user_type=person.user_type,
            matter_viewed_at=instant,
            matter_id=matter.matter_id,
            matter_name=matter.name,
            matter_type=matter.matter_type,
            user_company_id=company.company_id if company else None,
            user_company_name=company.name if company else None,
            user_member_office_id=office.office_id if office else None,
            user_member_office_name=office.name if office else None,
            user_member_office_location_name=office.location_name if office else None,
            user_member_office_location_iso2=office.location_iso2 if office else None,
        )


def _event_id(rng: Random, instant: datetime, number: int) -> UUID:
    """Return a version-7 UUID; those of rising instants and numbers rise (RFC 9562, section 6.2, method 2)."""
    millisecond = (instant - _EPOCH) // timedelta(milliseconds=1)
    # Of the 74 bits behind the millisecond, 42 are the number's, in two parts.
    upper, lower = number >> 30, (number & ((1 << 30) - 1)) << 32 | rng.getrandbits(32)
    return UUID(int=millisecond << 80 | 0x7 << 76 | upper << 64 | 0b10 << 62 | lower)


class _Zone(NamedTuple):
    """The seats of one UTC offset whose matters are alive, by number, and the sums of their weights up to each."""

    offset: timedelta
    numbers: Sequence[int]
    edges: Sequence[float]


class _Day:
    """One day of the period: its seats, and the relative activity of each zone in each hour."""

    def __init__(self, seats: Sequence[Seat], since: datetime, index: int, days: int) -> None:
        self.begins = since + timedelta(days=index)
        self._hours = [(zone, hour) for zone in _zones(seats, index / days) for hour in range(24)]
        self._edges = list(accumulate(zone.edges[-1] * self._pull(zone, hour) for zone, hour in self._hours))

    @property
    def weight(self) -> float:
        """The number of views of this day, relative to other days."""
        return self._edges[-1]

    def _pull(self, zone: _Zone, hour: int) -> float:
        local = self.begins + zone.offset + timedelta(hours=hour, minutes=30)
        return _WEEKDAY[local.hour] * (1 if local.weekday() < _SATURDAY else _WEEKEND_SHARE)

    def visits(self, rng: Random, count: int) -> list[tuple[int, int]]:
        """Return ``count`` visits in order of time, each as microseconds from the day's start and a seat's number."""
        found: list[tuple[int, int]] = []
        while len(found) < count:
            zone, hour = rng.choices(self._hours, cum_weights=self._edges)[0]
            number = rng.choices(zone.numbers, cum_weights=zone.edges)[0]
            first_us = int((hour + rng.random()) * _HOUR_US)
            found.append((first_us, number))
            if rng.random() < _REFRESH_SHARE:
                for _ in range(rng.randint(1, _MAX_REFRESHES)):
                    again_us = first_us + int(rng.random() * _REFRESH_US)
                    found.append((min(again_us, _DAY_US - 1), number))
        return sorted(found[:count])


def _zones(seats: Sequence[Seat], age: float) -> list[_Zone]:
    """Return the zones that have seats in matters alive at this point of the period."""
    alive: defaultdict[timedelta, list[int]] = defaultdict(list)
    for number, seat in enumerate(seats):
        if seat.matter.opens <= age < seat.matter.falls_silent:
            alive[seat.person.utc_offset].append(number)
    return [_Zone(offset, each, list(accumulate(seats[n].weight for n in each))) for offset, each in alive.items()]


def _shares(count: int, weights: Sequence[float]) -> Iterator[int]:
    """Split ``count`` by weight into integers that add up to it."""
    edges = list(accumulate(weights, initial=0.0))
    return (after - before for before, after in pairwise(round(count * (edge / edges[-1])) for edge in edges))


def _generator(*key: object) -> Random:
    return Random(repr(key))  # noqa: S311 - a simulation must be repeatable


def _person(rng: Random, number: int, taken: set[str]) -> Person:
    """Invent a person with an e-mail address that is not ``taken``, and add it there."""
    called = personal_name(rng, number)
    guest, turn = number % _GUEST_EVERY == _GUEST_EVERY - 1, number // _GUEST_EVERY
    company = rng.choice(CLIENTS) if guest else FIRM
    known = not guest or turn % _NO_COMPANY_EVERY != _NO_COMPANY_EVERY - 1
    domain = company.domain if known else rng.choice(("example.com", "example.org"))
    email = f"{called.local}@{domain}"
    if email in taken:
        email = f"u{number}@{domain}"
    taken.add(email)
    return Person(
        user_id=f"usr-{number:05d}-{rng.getrandbits(32):08x}",
        name=called.name,
        email=email,
        user_type=UserType.GUEST if guest else UserType.MEMBER,
        company=company if known else None,
        office=None if guest else called.home,
        utc_offset=company.utc_offset if guest else called.home.utc_offset,
    )


def _matters(rng: Random, count: int) -> tuple[Matter, ...]:
    ranks = rng.sample(range(1, count + 1), count)
    return tuple(_matter(rng, number, rank) for number, rank in enumerate(ranks))


def _matter(rng: Random, number: int, rank: int) -> Matter:
    demo = number % _DEMO_EVERY == _DEMO_EVERY - 1
    client = rng.choice(CLIENTS)
    # Of seven matters one opens late, one falls silent early, five live throughout.
    turn = number % _LIVES_EVERY
    opens = rng.uniform(0.3, 0.7) if turn == 1 else 0.0
    falls_silent = rng.uniform(0.3, 0.7) if turn == _LIVES_EVERY - 1 else 1.0
    return Matter(
        matter_id=f"mat-{number:05d}-{rng.getrandbits(32):08x}",
        name=demo_name(number // _DEMO_EVERY) if demo else matter_name(number, client),
        matter_type=MatterType.DEMO if demo else MatterType.LIVE,
        client=client,
        weight=rank**-_SKEW,
        opens=opens,
        falls_silent=falls_silent,
    )


def _seats(rng: Random, people: Sequence[Person], matters: Sequence[Matter]) -> tuple[Seat, ...]:
    """Give each person a few matters, and each matter at least one person."""
    of_client: defaultdict[Company | None, list[int]] = defaultdict(list)
    for number, matter in enumerate(matters):
        of_client[matter.client].append(number)
    teams: list[list[Person]] = [[] for _ in matters]
    for person in people:
        choices = of_client.get(person.company) or range(len(matters))
        number_of_seats = rng.randint(2, 5) if person.office else rng.randint(1, 2)
        for number in rng.sample(choices, min(number_of_seats, len(choices))):
            teams[number].append(person)
    return tuple(
        seat
        for matter, team in zip(matters, teams, strict=True)
        for seat in _team(rng, matter, team or [rng.choice(people)])
    )


def _team(rng: Random, matter: Matter, team: Sequence[Person]) -> Iterator[Seat]:
    keenness = [rng.lognormvariate(0, 0.8) for _ in team]
    total = sum(keenness)
    return (Seat(person, matter, matter.weight * keen / total) for person, keen in zip(team, keenness, strict=True))
