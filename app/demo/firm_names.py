# ruff: noqa: RUF001  these names have letters of other scripts that look like Latin ones on purpose
"""The names of the simulated firm: its people, offices, clients and matters, all invented.

1. People come from the cultures in turn, so that a firm of twenty already uses every script listed here.
2. Some names break careless software: a formula, a line break, an emoji, quotes and commas.
3. All domains are reserved: example.com, example.org and names under .example, some of them internationalised.
4. An office or client keeps one UTC offset all year, so the firm does not depend on the host's time-zone data.
"""

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


FIRM: Final = Company("com-000", "Fennimore Quill LLP", "fennimorequill.example", timedelta(hours=0))

OFFICES: Final = (
    Office("off-lon", "London – Quayside House", "London", "GB", timedelta(hours=0)),
    Office("off-fra", "Frankfurt – Mainblick", "Frankfurt am Main", "DE", timedelta(hours=1)),
    Office("off-ist", "İstanbul – Kıyı Ofisi", "İstanbul", "TR", timedelta(hours=3)),
    Office("off-dxb", "دبي – Creekside Tower", "Dubai", "AE", timedelta(hours=4)),
    Office("off-bom", "मुंबई – Banyan Court", "Mumbai", "IN", timedelta(hours=5.5)),
    Office("off-sin", "Singapore – Raintree Walk", "Singapore", "SG", timedelta(hours=8)),
    Office("off-tyo", "東京オフィス", "Tokyo", "JP", timedelta(hours=9)),
    Office("off-nyc", 'New York – "The Annexe", 12th floor', "New York, NY", "US", timedelta(hours=-5)),
    Office("off-gru", "São Paulo – Jabuticaba", "São Paulo", "BR", timedelta(hours=-3)),
)
_OFFICE: Final = {office.office_id: office for office in OFFICES}

CLIENTS: Final = (
    Company("com-001", "Bramblewick Shipping plc", "bramblewick.example", timedelta(hours=0)),
    Company("com-002", "Tannhügel Feinmechanik GmbH & Co. KG", "tannhügel.example", timedelta(hours=1)),
    Company("com-003", "株式会社ひのき野製作所", "ひのき野.example", timedelta(hours=9)),
    Company("com-004", 'O\'Marlow, "Finch" & Daughters Ltd', "omarlow-finch.example", timedelta(hours=0)),
    Company("com-005", "Αιγαιόπνοια Ναυτιλία Α.Ε.", "αιγαιόπνοια.example", timedelta(hours=2)),
    Company("com-006", "Olivares del Páramo Alto, S.A.", "paramoalto.example", timedelta(hours=1)),
    Company("com-007", "شركة واحة السدر للطاقة", "واحة-السدر.example", timedelta(hours=4)),
    Company("com-008", "Cinderpath Robotics, Inc.", "cinderpath.example", timedelta(hours=-8)),
    Company("com-009", "솔바람들 물산", "solbaramdeul.example", timedelta(hours=9)),
    Company("com-010", "ТОВ «Березовий Мис»", "березовий-мис.example", timedelta(hours=2)),
    Company("com-011", "杉影山资本有限公司", "杉影山.example", timedelta(hours=8)),
    Company("com-012", "Jatobá Verde Participações Ltda.", "jatobaverde.example", timedelta(hours=-3)),
    Company("com-013", "नीलवन वस्त्र प्राइवेट लिमिटेड", "neelvan.example", timedelta(hours=5.5)),
)

# Three lines each: home office and order of the parts, given names, family names.
_CULTURES: Final = files(__package__).joinpath("cultures.txt").read_text(encoding="utf-8")
CULTURES: Final = tuple(_culture(*lines.split("\n")) for lines in _CULTURES.strip().split("\n\n"))

NASTY_NAMES: Final = (
    PersonalName("\U0001f469\u200d\u2696\ufe0f Juno Brightwater \U0001f389", "juno.\U0001f389", _OFFICE["off-lon"]),
    PersonalName('=HYPERLINK("https://bait.example/","Open")', '"=1+1"', _OFFICE["off-nyc"]),
    PersonalName("+44 20 7946 0123 (front desk)", "+front-desk", _OFFICE["off-lon"]),
    PersonalName("Lina\nBreakwater", "lina.breakwater", _OFFICE["off-sin"]),
    PersonalName("Max \"Sharp, Jr.\" Quillon, LL.M., 'Esq.'", '"quillon, max"', _OFFICE["off-nyc"]),
    PersonalName(
        " ".join(["Wilhelmina Adelheid Kunigunde", *["von und zu Hohenfels"] * 40]), "w" * 64, _OFFICE["off-fra"]
    ),
    PersonalName("@SUM(A1:A9)", '"@sum"', _OFFICE["off-bom"]),
    PersonalName("-2+3\tTabitha; O'Tabb", "-2+3", _OFFICE["off-dxb"]),
    PersonalName("Zoe\u0308 De\u0301compose\u0301e", "zoe\u0308", _OFFICE["off-gru"]),
    PersonalName("NULL", "null", _OFFICE["off-tyo"]),
)
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


_CODE_WORDS: Final = (
    *("Larch", "Kestrel", "Saltmarsh", "Obsidian", "Halyard", "Juniper", "Tern", "Marlstone", "Lantern", "Gannet"),
    *("Rowan", "Basalt", "Spindrift", "Alder", "Corncrake", "Sextant", "Hornbeam", "Flint", "Petrel", "Harrow"),
)
_DEALS: Final = (
    "acquisition of {}",
    "sale of {}",
    "refinancing of {}",
    "joint venture with {}",
    "listing of {}",
    "Series B financing of {}",
)
_DISPUTES: Final = (
    "Doe v Roe",
    "Marchmain & Others v {}",
    "{} v Commissioner for Imaginary Revenue",
    "In re {} (in administration)",
    'R (Pennyfeather) v "Harbour Board", No. 2',
    "Estate of A. N. Other, deceased – claim of {}",
)
_ABROAD: Final = (
    "Projekt Lärche – Übernahme, Löschung & Eintragung",
    "Έργο Πεύκο – συγχώνευση",
    "Проєкт «Модрина» – купівля заводу",
    "مشروع الأرز – إعادة التمويل",
    "פרויקט ארז – מיזוג",
    "落叶松项目 – 股权收购",
    "プロジェクト・カラマツ（株式譲渡）",
    "낙엽송 프로젝트 – 합작 투자",
    "परियोजना देवदार – पुनर्वित्त",
    "โครงการต้นสน – ซื้อกิจการ",
    "የዝግባ ፕሮጀክት – ግዢ",
    "=Projekt+Żuraw, \"etap II\" – spór o 'znak'",
)
_LESSONS: Final = ("first steps", "share purchase", "signing by video", "closing checklist", "Übungsfall – Kauf")


def matter_name(number: int, client: Company) -> str:
    """Invent the name of the firm's live matter ``number``: of four, two deals, a dispute and one from abroad."""
    turn, kind = divmod(number, 4)
    if kind == 2:  # noqa: PLR2004  the third of four
        return _DISPUTES[turn % len(_DISPUTES)].format(client.name)
    if kind == 3:  # noqa: PLR2004  the last of four
        return _ABROAD[turn % len(_ABROAD)]
    deal = _DEALS[(turn + kind) % len(_DEALS)].format(client.name)
    return f"Project {_CODE_WORDS[(2 * turn + kind) % len(_CODE_WORDS)]} – {deal}"


def demo_name(number: int) -> str:
    """Invent the name of the firm's demo matter ``number``."""
    return f"Demo – {_LESSONS[number % len(_LESSONS)]}"
