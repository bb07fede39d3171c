# ruff: noqa: RUF001  names of matters have dashes
"""The names of the simulated firm: its people, offices, clients and matters, all invented.

1. People come from the cultures in turn, so that a firm of twenty already uses every script listed here.
2. Some names break careless software: a formula, a line break, an emoji, quotes and commas.
3. All domains are reserved: example.com, example.org and names under .example, some of them internationalised.
4. An office or client keeps one UTC offset all year, so the firm does not depend on the host's time-zone data.
"""

import tomllib
from datetime import timedelta
from importlib.resources import files
from random import Random
from typing import Final, NamedTuple


class Office(NamedTuple):
    """A place where members work."""

    office_id: str
    name: str
    location_name: str
    location_iso2: str
    utc_offset: timedelta


class Company(NamedTuple):
    """The firm itself, or a client whose people are guests."""

    company_id: str
    name: str
    domain: str
    utc_offset: timedelta


class NamePart(NamedTuple):
    """One part of a name, in its own script and in ASCII for an e-mail address."""

    native: str
    ascii: str


class Culture(NamedTuple):
    """Names that go together, their order, and the home office of the people who have them."""

    home: Office
    order: str
    given: tuple[NamePart, ...]
    family: tuple[NamePart, ...]


class PersonalName(NamedTuple):
    """A person's name, the local part of the e-mail address, and the home office."""

    name: str
    local: str
    home: Office


def _part(text: str) -> NamePart:
    native, _, latin = text.partition("/")
    return NamePart(native, latin or native.lower())


def _culture(head: str, given: str, family: str) -> Culture:
    """Return a culture from comma-separated parts, each ``native/ascii``, or ``native`` if its lower case is ASCII."""
    home, _, order = head.partition(": ")
    parts = (tuple(map(_part, names.split(", "))) for names in (given, family))
    return Culture(_OFFICE[home], order, *parts)


_NAMES: Final = tomllib.loads(files(__package__).joinpath("names.toml").read_text(encoding="utf-8"))
_OFFICE: Final = {
    key: Office(key, name, place, iso2, timedelta(hours=offset)) for key, name, place, iso2, offset in _NAMES["offices"]
}
FIRM, *CLIENTS = (
    Company(key, name, domain, timedelta(hours=offset)) for key, name, domain, offset in _NAMES["companies"]
)

# Three lines each: home office and order of the parts, given names, family names.
_CULTURES: Final = files(__package__).joinpath("cultures.txt").read_text(encoding="utf-8")
CULTURES: Final = tuple(_culture(*lines.split("\n")) for lines in _CULTURES.strip().split("\n\n"))

NASTY_NAMES: Final = tuple(PersonalName(name, local, _OFFICE[home]) for name, local, home in _NAMES["nasty_names"])
# Coprime to the number of cultures, so that nasty names do not always replace names of the same culture.
_NASTY_EVERY: Final = 11
_NASTY_TURN: Final = 5
_PLAIN, _TAGGED, _QUOTED, _NATIVE = "plain", "tagged", "quoted", "native"
_ADDRESSES: Final = (*[_PLAIN] * 6, _TAGGED, _QUOTED, _NATIVE, _NATIVE)


def personal_name(rng: Random, number: int) -> PersonalName:
    """Invent the name of the firm's person ``number``."""
    turn, index = divmod(number, _NASTY_EVERY)
    if index == _NASTY_TURN and turn < len(NASTY_NAMES):
        return NASTY_NAMES[turn]
    culture = CULTURES[number % len(CULTURES)]
    given, family = rng.choice(culture.given), rng.choice(culture.family)
    name = culture.order.format(given=given.native, family=family.native)
    return PersonalName(name, _local(rng.choice(_ADDRESSES), given, family), culture.home)


def _local(address: str, given: NamePart, family: NamePart) -> str:
    """Return the local part of an e-mail address of the kind ``address``."""
    if address == _NATIVE:
        return f"{given.native}.{family.native}".lower().replace(". ", ".").replace(" ", ".")
    if address == _QUOTED:
        return f'"{given.ascii} ({family.ascii})"'
    return f"{given.ascii}.{family.ascii}" + ("+deals" if address == _TAGGED else "")


def matter_name(number: int, client: Company) -> str:
    """Invent the name of the firm's live matter ``number``: of four, two deals, a dispute and one from abroad."""
    turn, kind = divmod(number, 4)
    if kind == 2:  # noqa: PLR2004  the third of four
        return _in_turn("disputes", turn).format(client.name)
    if kind == 3:  # noqa: PLR2004  the last of four
        return _in_turn("abroad", turn)
    deal = _in_turn("deals", turn + kind).format(client.name)
    return f"Project {_in_turn('code_words', 2 * turn + kind)} – {deal}"


def demo_name(number: int) -> str:
    """Invent the name of the firm's demo matter ``number``."""
    return f"Demo – {_in_turn('lessons', number)}"


def _in_turn(kind: str, number: int) -> str:
    names: list[str] = _NAMES[kind]
    return names[number % len(names)]
