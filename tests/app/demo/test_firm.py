"""The simulated firm: the same from the same seed, legal, varied, and busy at the hours when people are."""

import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from matterlog.app.demo.firm import Firm
from matterlog.schemas import MatterType, UserType

UNTIL = datetime(2025, 6, 30, 15, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRM = Firm.make(seed=7)
VIEWS = list(FIRM.views(20_000, until=UNTIL))
SCRIPTS = {
    *("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "CJK", "HIRAGANA", "KATAKANA"),
    *("HANGUL", "DEVANAGARI", "THAI", "ETHIOPIC"),
}


def scripts_of(text: str) -> set[str]:
    return {unicodedata.name(letter).split()[0] for letter in text if letter.isalpha()}


def test_same_seed_gives_the_same_firm_and_the_same_events() -> None:
    again = Firm.make(seed=7)
    assert again == FIRM
    assert list(again.views(500, until=UNTIL)) == list(FIRM.views(500, until=UNTIL))


def test_another_seed_gives_other_people_matters_and_events() -> None:
    other = Firm.make(seed=8)
    assert not {person.user_id for person in other.people} & {person.user_id for person in FIRM.people}
    assert not {matter.matter_id for matter in other.matters} & {matter.matter_id for matter in FIRM.matters}
    assert not {view.event_id for view in other.views(500, until=UNTIL)} & {view.event_id for view in VIEWS}


@pytest.mark.parametrize("count", [0, 1, 7, 119, 1_000])
@pytest.mark.parametrize("days", [1, 7, 120])
def test_the_count_is_exact(count: int, days: int) -> None:
    assert sum(1 for _ in FIRM.views(count, until=UNTIL, days=days)) == count


@pytest.mark.parametrize(("matters", "users"), [(1, 1), (1, 40), (40, 1), (300, 700)])
def test_a_firm_of_any_size_has_every_person_and_matter_in_a_team(matters: int, users: int) -> None:
    firm = Firm.make(seed=1, matters=matters, users=users)
    assert {seat.person.user_id for seat in firm.seats} == {person.user_id for person in firm.people}
    assert {seat.matter.matter_id for seat in firm.seats} == {matter.matter_id for matter in firm.matters}
    assert len(list(firm.views(50, until=UNTIL))) == 50


def test_views_ascend_within_the_days_before_the_end() -> None:
    instants = [view.matter_viewed_at for view in VIEWS]
    assert all(before <= after for before, after in pairwise(instants))
    assert UNTIL - timedelta(days=120) <= instants[0]
    assert instants[-1] < UNTIL


def test_event_ids_rise_carry_the_millisecond_and_are_of_version_7() -> None:
    crowded = list(Firm.make(seed=3, matters=1, users=1).views(40_000, until=UNTIL, days=1))
    milliseconds = [(view.matter_viewed_at - EPOCH) // timedelta(milliseconds=1) for view in crowded]
    assert len(set(milliseconds)) < len(crowded)
    assert [view.event_id.int >> 80 for view in crowded] == milliseconds
    assert all(before.event_id < after.event_id for before, after in pairwise(crowded))
    assert {(view.event_id.version, view.event_id.variant) for view in crowded} == {(7, "specified in RFC 4122")}


def test_every_person_and_matter_makes_a_legal_view() -> None:
    firm = Firm.make(seed=11, matters=400, users=2_000)
    event_id = VIEWS[0].event_id
    assert all(firm.view_of(person, firm.matters[0], UNTIL, event_id) for person in firm.people)
    assert all(firm.view_of(firm.people[0], matter, UNTIL, event_id) for matter in firm.matters)


def test_ids_and_addresses_are_given_once() -> None:
    firm = Firm.make(seed=11, matters=400, users=2_000)
    assert len({person.user_id for person in firm.people}) == 2_000
    assert len({person.email for person in firm.people}) == 2_000
    assert len({matter.matter_id for matter in firm.matters}) == 400


def test_domains_are_reserved_ones() -> None:
    domains = {person.email.rpartition("@")[2] for person in FIRM.people}
    assert all(domain in {"example.com", "example.org"} or domain.endswith(".example") for domain in domains)
    assert any(not domain.isascii() for domain in domains)


def test_people_write_in_many_scripts() -> None:
    assert set().union(*(scripts_of(person.name) for person in FIRM.people)) >= SCRIPTS
    assert len(set().union(*(scripts_of(matter.name) for matter in FIRM.matters))) >= 8


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\U0001f469"])
def test_some_name_begins_with_what_breaks_careless_software(beginning: str) -> None:
    assert any(person.name.startswith(beginning) for person in FIRM.people)


@pytest.mark.parametrize("holding", ["\n", "\t", '"', ",", "'", ";", "\u0308"])
def test_some_name_holds_what_breaks_careless_software(holding: str) -> None:
    assert any(holding in person.name for person in FIRM.people)


@pytest.mark.parametrize("holding", ["+", "'", '"', " "])
def test_some_address_holds_what_breaks_careless_software(holding: str) -> None:
    assert any(holding in person.email.rpartition("@")[0] for person in FIRM.people)


def test_some_name_is_very_long() -> None:
    assert max(len(person.name) for person in FIRM.people) > 500


def test_members_have_an_office_and_guests_a_client_but_for_a_few() -> None:
    members = [person for person in FIRM.people if person.user_type is UserType.MEMBER]
    guests = [person for person in FIRM.people if person.user_type is UserType.GUEST]
    assert all(person.office and person.company for person in members)
    assert not any(person.office for person in guests)
    assert 1 <= sum(person.company is None for person in guests) <= len(guests) // 5
    assert members[0].company not in {person.company for person in guests}


def test_one_matter_in_ten_is_a_demo() -> None:
    kinds = Counter(matter.matter_type for matter in FIRM.matters)
    assert kinds == {MatterType.LIVE: 36, MatterType.DEMO: 4}
    assert {view.matter_type for view in VIEWS} == set(MatterType)


def test_the_busiest_matter_has_ten_times_the_views_of_the_quietest() -> None:
    views = Counter(view.matter_id for view in VIEWS)
    throughout = [matter for matter in FIRM.matters if (matter.opens, matter.falls_silent) == (0, 1)]
    figures = [views[matter.matter_id] for matter in throughout]
    assert max(figures) >= 10 * min(figures) > 0


def test_some_matters_open_late_and_some_fall_silent() -> None:
    middle = UNTIL - timedelta(days=60)
    before = {view.matter_id for view in VIEWS if view.matter_viewed_at < middle - timedelta(days=25)}
    after = {view.matter_id for view in VIEWS if view.matter_viewed_at > middle + timedelta(days=25)}
    assert len(after - before) >= 3
    assert len(before - after) >= 3


def test_each_person_sees_a_handful_of_matters() -> None:
    seen = Counter(person for person, _ in {(view.user_id, view.matter_id) for view in VIEWS})
    assert max(seen.values()) <= 6
    assert sum(seen.values()) / len(seen) < 5


def test_most_views_fall_in_the_working_hours_of_a_weekday() -> None:
    offsets = {person.user_id: person.utc_offset for person in FIRM.people}
    local = [view.matter_viewed_at + offsets[view.user_id] for view in VIEWS]
    working = sum(at.weekday() < 5 and 8 <= at.hour < 19 for at in local)
    assert 0.85 < working / len(local) < 0.99


def test_some_visits_are_refreshed_within_a_minute() -> None:
    visits = sorted((view.user_id, view.matter_id, view.matter_viewed_at) for view in VIEWS)
    refreshed = sum(
        (one[:2] == next_[:2]) and next_[2] - one[2] < timedelta(minutes=1) for one, next_ in pairwise(visits)
    )
    assert 0.02 < refreshed / len(visits) < 0.2


def test_instants_are_finer_than_a_millisecond() -> None:
    assert len({view.matter_viewed_at.microsecond % 1_000 for view in VIEWS}) > 900


def test_two_million_views_are_made_as_they_are_taken() -> None:
    views = FIRM.views(2_000_000, until=UNTIL)
    first = list(islice(views, 10))
    assert len(first) == 10
    assert next(views).matter_viewed_at < UNTIL - timedelta(days=119)
