"""Plain views: what is taken for plain is legal and has fastavro's bytes; what is usual is plain."""

import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matterlog.producers import MatterViewProducer, MemoryProducer
from matterlog.schemas import InvalidEvent, MatterType, MatterViewed, UserType
from matterlog.schemas.codec import encode, newest_schema
from matterlog.schemas.columns import OPTIONAL_FIELDS, REQUIRED_FIELDS, VIEW_FIELDS
from matterlog.schemas.plain_views import plain_body

EVENT_ID: Final = UUID("0198c0de-1234-7abc-8def-0123456789ab")
NOON: Final = datetime(2026, 3, 1, 12, 0, 0, 678901, tzinfo=UTC)
USUAL: Final[dict[str, Any]] = {
    "user_id": "u-1001",
    "user_name": "Zoë O’Hara",  # noqa: RUF001 - names hold such quotes
    "user_email": "zoe.o'hara+matters@example.co.uk",
    "user_type": "Member",
    "matter_viewed_at": NOON,
    "matter_id": "m-42",
    "matter_name": "Project Heron, 第二 🚢",
    "matter_type": MatterType.LIVE,
    **dict.fromkeys(OPTIONAL_FIELDS),
}
OFFICE: Final = {
    "user_company_id": "c-7",
    "user_company_name": "Hale & Co",
    "user_member_office_id": "o-3",
    "user_member_office_name": "東京オフィス",
    "user_member_office_location_name": "London",
    "user_member_office_location_iso2": "GB",
}
# As many characters as a chunk of them may have in each field, at four bytes each.
CHUNK: Final = 32


class LoudText(str):
    """A text with methods of its own, as templating libraries have."""

    def encode(self, *_: object) -> bytes:
        return b"shout"

    def __len__(self) -> int:
        return 3

    def isprintable(self) -> bool:
        return True

    def __str__(self) -> str:
        return "shout"


class Word(StrEnum):
    """Another program's word for a member."""

    MEMBER = "Member"


def fields(**changes: Any) -> dict[str, Any]:
    return USUAL | changes


def plain(values: dict[str, Any]) -> bytes | None:
    optional = tuple(values[name] for name in OPTIONAL_FIELDS)
    return plain_body(str(EVENT_ID), *(values[name] for name in REQUIRED_FIELDS), optional=optional)


def written_by_fastavro(event: MatterViewed) -> bytes:
    target = io.BytesIO()
    fastavro.schemaless_writer(target, newest_schema(MatterViewed).parsed, event.__dict__)
    return target.getvalue()


def assert_plain_is_legal_and_exact(values: dict[str, Any]) -> bool:
    """Return whether it was plain."""
    if (body := plain(values)) is None:
        return False
    assert body == written_by_model(values | {"event_id": EVENT_ID})
    return True


def written_by_model(values: dict[str, Any]) -> bytes:
    return written_by_fastavro(MatterViewed.checked(values))


def written_by_emit(values: dict[str, Any]) -> bytes:
    transport = MemoryProducer()
    MatterViewProducer(transport).emit(**values)
    return transport.messages[0].value[10:]


def outcome_of(writing: Callable[[], bytes]) -> bytes | tuple[tuple[str, str], ...]:
    try:
        return writing()
    except InvalidEvent as refused:
        return refused.problems


# Of every kind of character, at both ends and in between, and of what is no text.
TEXTS: Final = st.text(st.characters() | st.sampled_from(" \t\n\x00\x7f\x85\u200b\u2028\ud800\xa0\"\\@.-_'é第🚢"))
IDS: Final = st.text(st.sampled_from("ab 第\t"), min_size=126, max_size=130) | TEXTS
NAMES: Final = st.text(st.sampled_from("a第"), min_size=330, max_size=1_001) | TEXTS
EMAILS: Final = (
    st.builds("{}@{}.{}".format, TEXTS, TEXTS, TEXTS)
    | st.builds('"{}"@{}.example'.format, TEXTS, TEXTS)
    | st.text(st.sampled_from('ab.@-_"é[\\ '), max_size=12).map("{}@b.example".format)
    | st.emails()
)
ZONES: Final = st.sampled_from([UTC, None, timezone(timedelta(0)), timezone(timedelta(hours=-9))])
STRANGE: Final[st.SearchStrategy[Any]] = st.sampled_from(
    [None, 7, True, b"m-42", [], {}, "", "Guest", "demo", "GB", LoudText("m-42"), NOON]
)
DRAWN: Final = {
    "user_id": IDS,
    "user_name": NAMES,
    "user_email": EMAILS,
    "user_type": st.sampled_from([*UserType, *Word, "Guest", LoudText("Guest"), b"Guest", "guest"]),
    "matter_viewed_at": st.datetimes(timezones=ZONES),
    "matter_id": IDS,
    "matter_name": NAMES,
    "matter_type": st.sampled_from([*MatterType, "demo", "Demo"]),
    "user_company_id": IDS,
    "user_company_name": NAMES,
    "user_member_office_id": IDS,
    "user_member_office_name": NAMES,
    "user_member_office_location_name": NAMES,
    "user_member_office_location_iso2": st.text("ABZaÄ \n", max_size=3),
}
# One or two fields drawn, the rest usual: so that neither all is refused nor all is plain.
CHANGES: Final = st.lists(st.sampled_from(VIEW_FIELDS), min_size=1, max_size=2).flatmap(
    lambda names: st.fixed_dictionaries({name: DRAWN[name] | STRANGE for name in names})
)


@settings(max_examples=1_000)
@given(CHANGES)
def test_whatever_is_plain_is_legal_and_has_fastavros_bytes(changes: dict[str, Any]) -> None:
    assert_plain_is_legal_and_exact(fields(**changes))


@settings(max_examples=500)
@given(CHANGES)
def test_emit_takes_and_refuses_what_the_model_does_with_the_same_words(changes: dict[str, Any]) -> None:
    values = fields(event_id=EVENT_ID, **changes)
    assert outcome_of(lambda: written_by_model(values)) == outcome_of(lambda: written_by_emit(values))


def chunks_of(letters: list[str]) -> list[str]:
    return ["".join(letters[start : start + CHUNK]) for start in range(0, len(letters), CHUNK)]


def test_every_character_that_python_thinks_plain_is_legal_wherever_it_stands() -> None:
    """Python and pydantic have Unicode tables of their own; a new version of either may come first."""
    everything = list(map(chr, range(sys.maxunicode + 1)))
    found = 0
    for chunk in chunks_of([letter for letter in everything if letter.isprintable() and letter != " "]):
        found += assert_plain_is_legal_and_exact(fields(user_id=chunk, matter_name=chunk, user_company_id=chunk))
    for chunk in chunks_of([letter for letter in everything if letter == "_" or letter.isalnum()]):
        found += assert_plain_is_legal_and_exact(fields(user_email=f"{chunk}@example.com"))
        found += assert_plain_is_legal_and_exact(fields(user_email=f"a@{chunk.replace('_', '')}.example"))
    assert found > 10_000


@pytest.mark.parametrize(
    "changes",
    [
        {},
        OFFICE,
        {"user_type": UserType.GUEST, "matter_type": "demo"},
        {"user_email": "людмила.черногорец@tannhügel.example"},
        {"user_email": '"isil (oztekin)"@xn--bcher-kva.example'},
        {"user_id": "x" * 128, "matter_name": "x" * 1_000},
        {"user_name": ""},
        {"user_name": "佐々木 健太郎", "user_id": "a b"},
        {"user_name": LoudText("Zoë"), "user_type": LoudText("Guest")},
        {"matter_viewed_at": datetime(1980, 1, 1, tzinfo=UTC)},
        {"matter_viewed_at": datetime(3100, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
    ],
)
def test_what_is_usual_is_plain(changes: dict[str, Any]) -> None:
    assert assert_plain_is_legal_and_exact(fields(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"user_name": "first\nsecond"},
        {"matter_name": "第" * 334},
        {"user_email": "श्रुति@example.com"},
        {"user_email": "zoe@[192.0.2.1]"},
        {"matter_viewed_at": NOON.astimezone(ZoneInfo("Europe/London"))},
        {"matter_viewed_at": datetime(1970, 1, 1, tzinfo=UTC)},
        {"matter_viewed_at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)},
    ],
)
def test_what_is_rare_is_legal_and_left_to_fastavro(changes: dict[str, Any]) -> None:
    assert plain(fields(**changes)) is None
    event = MatterViewed.checked(fields(event_id=EVENT_ID, **changes))
    assert encode(event)[10:] == written_by_fastavro(event)


@pytest.mark.parametrize(
    "changes",
    [
        *({field: text} for field in ("user_id", "matter_id") for text in ("", " m-42", "m-42 ", "x" * 129, "a\tb")),
        *({field: text} for field in ("user_company_id", "user_member_office_id") for text in ("", " c", "x" * 129)),
        {"user_name": "x" * 1_001},
        {"user_email": "x" * 309 + "@example.com"},
        {"user_email": "zoe@exa_mple.com"},
        {"user_email": "zoe@-example.com"},
        {"user_email": "zoe@localhost"},
        {"user_email": "zo..e@example.com"},
        {"user_email": r'"a\"@example.com'},
        {"user_email": '"a"b"@example.com'},
        {"user_email": "zoe@example.com\n"},
        {"user_member_office_location_iso2": "gb"},
        {"user_member_office_location_iso2": "GB\n"},
        {"user_type": "member"},
        {"matter_viewed_at": NOON.replace(tzinfo=None)},
    ],
)
def test_what_breaks_a_rule_is_not_plain(changes: dict[str, Any]) -> None:
    assert plain(fields(**OFFICE | changes)) is None
    with pytest.raises(InvalidEvent, match=next(iter(changes))):
        MatterViewProducer(MemoryProducer()).emit(**fields(**OFFICE | changes))


class Twin:
    """Equal to a company's name, and no text."""

    def __eq__(self, other: object) -> bool:
        return other == OFFICE["user_company_name"]

    def __hash__(self) -> int:
        return hash(OFFICE["user_company_name"])


def test_what_equals_a_text_that_was_plain_before_is_no_text() -> None:
    assert plain(fields(**OFFICE)) is not None
    assert plain(fields(**OFFICE | {"user_company_name": Twin()})) is None
