"""The events' rules: what is refused, how it is said, and what must stay legal."""

import traceback
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from matterlog.schemas import Event, InvalidEvent, MatterDeleted, MatterType, MatterViewed, UserType

NOON: Final = datetime(2026, 3, 1, 12, 0, 0, 678901, tzinfo=UTC)
REQUIRED_OF_A_VIEW: Final[dict[str, Any]] = {
    "user_id": "u-1001",
    "user_name": "Zoë",
    "user_email": "zoe@example.com",
    "user_type": "Member",
    "matter_viewed_at": NOON,
    "matter_id": "m-42",
    "matter_name": "Project Heron",
    "matter_type": "live",
}
OPTIONAL_OF_A_VIEW: Final[dict[str, Any]] = {
    "user_company_id": "c-7",
    "user_company_name": "Hale & Co",
    "user_member_office_id": "o-3",
    "user_member_office_name": "City",
    "user_member_office_location_name": "London",
    "user_member_office_location_iso2": "GB",
}
VIEW: Final = {**REQUIRED_OF_A_VIEW, **OPTIONAL_OF_A_VIEW}
DELETION: Final[dict[str, Any]] = {"matter_id": "m-42", "deleted_at": NOON}

IDS: Final = ("user_id", "matter_id", "user_company_id", "user_member_office_id")
NAMES: Final = (
    "user_name",
    "matter_name",
    "user_company_name",
    "user_member_office_name",
    "user_member_office_location_name",
)

# The whole text of the error for an event with nothing in it, in the schema's order.
NOTHING_THERE: Final = (
    "MatterViewed: user_id is missing; user_name is missing; user_email is missing; user_type is missing; "
    "matter_viewed_at is missing; matter_id is missing; matter_name is missing; matter_type is missing"
)
# What the rule of each field must speak of, so that a caller knows what to mend.
RULE_SPEAKS_OF: Final = {
    "event_id": "UUID",
    **dict.fromkeys(IDS, "1 to 128 characters"),
    **dict.fromkeys(NAMES, "at most 1000 characters"),
    "user_email": "e-mail address",
    "user_type": "Guest or Member",
    "matter_viewed_at": "time zone",
    "matter_type": "demo or live",
    "user_member_office_location_iso2": "two capital letters",
}

LEGAL_TEXT: Final = (
    "O'Hara",
    "D’Angelo",  # noqa: RUF001 - names hold such apostrophes
    'Zoë "Zed" Hale',
    "=HYPERLINK(1)",
    "第二プロジェクト",
    "Дело №7",
    "שלום עולם",
    "\u202bمسألة\u202c",
    "👩🏽‍⚖️ v. 🚢",
    "e\u0301",
    "a b",
    "back\\slash; semi, comma",
)
LEGAL_LAYOUT: Final = ("first\nsecond", "first\r\nsecond", "tab\tbed", " padded ", "")
CONTROL_CHARACTERS: Final = ("\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f")
WHITE_SPACE: Final = (" ", "\t", "\n", "\r\n", "\u00a0", "\u1680", "\u2003", "\u2028", "\u202f", "\u3000")

LEGAL_EMAILS: Final = (
    "zoe@example.com",
    '"john smith"@example.com',
    '"a@b"@example.com',
    r'"a\"b"@example.com',
    "o'hara+matters@example.co.uk",
    "a.b-c_d!#$%&*/=?^`{|}~@example.com",
    "zoë@bücher.example",
    "用户@例え.jp",
    "a@xn--bcher-kva.example",
    "a@[192.0.2.1]",
    "a@1.example",
)
BAD_EMAILS: Final = (
    "",
    " ",
    "zoe",
    "@example.com",
    "zoe@",
    "zoe@localhost",
    "zoe@@example.com",
    "zoe@a@example.com",
    ".zoe@example.com",
    "zoe.@example.com",
    "zo..e@example.com",
    "zo e@example.com",
    " zoe@example.com",
    "zoe@example.com ",
    "zoe@example.com\n",
    "zoe@exa mple.com",
    "zoe@example..com",
    "zoe@.example.com",
    "zoe@example.com.",
    "zoe@-example.com",
    "zoe@example-.com",
    "zoe@exa_mple.com",
    "Zoe <zoe@example.com>",
    "zoe@example.com,ann@example.com",
    "mailto:zoe@example.com",
    '"zoe@example.com',
    '""@example.com',
    '"a"b"@example.com',
    'a"b"@example.com',
    '"a\nb"@example.com',
    "zo\x00e@example.com",
    "zo\u00a0e@example.com",
    "zoe@[]",
)


class ZoneWithoutOffset(tzinfo):
    """A zone that does not know its distance from UTC: Python calls such a time naive."""

    def utcoffset(self, _when: datetime | None) -> None:
        return None

    def dst(self, _when: datetime | None) -> None:
        return None

    def tzname(self, _when: datetime | None) -> str:
        return "nowhere"


def view(**changed: object) -> MatterViewed:
    return MatterViewed.checked(VIEW | changed)


def refused(**changed: object) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        view(**changed)
    return caught.value


def test_a_view_needs_eight_fields_and_leaves_the_others_empty() -> None:
    event = MatterViewed.checked(REQUIRED_OF_A_VIEW)
    assert {field: getattr(event, field) for field in REQUIRED_OF_A_VIEW} == REQUIRED_OF_A_VIEW
    assert {field: getattr(event, field) for field in OPTIONAL_OF_A_VIEW} == dict.fromkeys(OPTIONAL_OF_A_VIEW)


def test_a_view_keeps_every_field_as_it_was_given() -> None:
    event = view()
    assert {field: getattr(event, field) for field in VIEW} == VIEW
    assert (event.user_type, event.matter_type) == (UserType.MEMBER, MatterType.LIVE)


def test_an_event_made_without_an_id_gets_one_of_its_own() -> None:
    first, second = MatterDeleted.checked(DELETION), MatterDeleted.checked(DELETION)
    assert first.event_id != second.event_id
    assert first.event_id.version == 7


@pytest.mark.parametrize("given", [UUID(int=0), UUID("5f0c4bb1-6a3e-4b5e-9f2a-0c8d7e6f5a4b")])
def test_an_id_that_was_given_is_kept_whatever_its_version(given: UUID) -> None:
    assert view(event_id=given).event_id == given
    assert view(event_id=str(given)).event_id == given


@pytest.mark.parametrize("event", [view(), MatterDeleted.checked(DELETION)])
def test_an_event_cannot_be_changed(event: Event) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        event.matter_id = "m-43"
    with pytest.raises(ValidationError, match="frozen"):
        del event.matter_id
    assert event.matter_id == "m-42"


def test_equal_events_are_equal_values() -> None:
    first, second = view(event_id=UUID(int=7)), view(event_id=UUID(int=7))
    assert (first, hash(first)) == (second, hash(second))
    assert first != view(event_id=UUID(int=7), matter_name="Project Egret")


# Times


@pytest.mark.parametrize("naive", [datetime(2026, 3, 1, 12), datetime(2026, 3, 1, 12, tzinfo=ZoneWithoutOffset())])  # noqa: DTZ001 - a naive time is what is refused
def test_a_time_without_an_offset_is_refused(naive: datetime) -> None:
    assert refused(matter_viewed_at=naive).problems[0][0] == "matter_viewed_at"
    with pytest.raises(InvalidEvent, match="deleted_at must be a date and time with a time zone"):
        MatterDeleted.checked(DELETION | {"deleted_at": naive})


@pytest.mark.parametrize(
    ("given", "in_utc"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2026-03-01T06:15:00+00:00"),
        (datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=timezone(timedelta(hours=-9))), "2026-03-01T21:00:00.000001+00:00"),
        (datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/London")), "2026-07-01T11:00:00+00:00"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"), fold=0), "2026-10-25T00:30:00+00:00"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"), fold=1), "2026-10-25T01:30:00+00:00"),
    ],
)
def test_a_time_in_another_zone_becomes_the_same_instant_in_utc(given: datetime, in_utc: str) -> None:
    event = view(matter_viewed_at=given)
    assert event.matter_viewed_at == given.astimezone(UTC)
    assert event.matter_viewed_at.isoformat() == in_utc
    assert event.matter_viewed_at.tzinfo is UTC


@pytest.mark.parametrize(
    "edge", [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]
)
def test_the_first_and_the_last_instant_are_legal(edge: datetime) -> None:
    assert view(matter_viewed_at=edge).matter_viewed_at == edge


@pytest.mark.parametrize(
    "outside",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1970, 1, 1, 0, 59, tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_an_instant_outside_1970_to_9999_is_refused(outside: datetime) -> None:
    assert "from 1970 to 9999" in str(refused(matter_viewed_at=outside))


@pytest.mark.parametrize("not_a_time", ["2026-03-01T12:00:00Z", 1_772_366_400, 1.5, NOON.date(), None])
def test_a_time_is_never_guessed_from_something_else(not_a_time: object) -> None:
    assert refused(matter_viewed_at=not_a_time).problems[0][0] == "matter_viewed_at"


# Text


@pytest.mark.parametrize("field", IDS)
@pytest.mark.parametrize("blank", ["", *WHITE_SPACE])
def test_an_empty_or_blank_id_is_refused(field: str, blank: str) -> None:
    assert [problem[0] for problem in refused(**{field: blank}).problems] == [field]


@pytest.mark.parametrize("field", IDS)
@pytest.mark.parametrize("blank", WHITE_SPACE)
def test_white_space_at_either_end_of_an_id_is_refused(field: str, blank: str) -> None:
    refused(**{field: f"{blank}m-42"})
    refused(**{field: f"m-42{blank}"})
    with pytest.raises(InvalidEvent, match="matter_id"):
        MatterDeleted.checked(DELETION | {"matter_id": f"m-42{blank}"})


@pytest.mark.parametrize(("field", "limit"), [*((field, 128) for field in IDS), *((field, 1_000) for field in NAMES)])
@pytest.mark.parametrize("character", ["x", "第", "🚢"])
def test_text_at_its_limit_is_legal_and_one_character_more_is_refused(field: str, limit: int, character: str) -> None:
    assert len(getattr(view(**{field: character * limit}), field)) == limit
    assert [problem[0] for problem in refused(**{field: character * (limit + 1)}).problems] == [field]


def test_an_email_at_its_limit_is_legal_and_one_character_more_is_refused() -> None:
    domain = f"@{'d' * 63}.{'d' * 63}.example"
    longest = "x" * (320 - len(domain)) + domain
    assert view(user_email=longest).user_email == longest
    assert [problem[0] for problem in refused(user_email=f"x{longest}").problems] == ["user_email"]


@pytest.mark.parametrize("field", [*IDS, *NAMES])
@pytest.mark.parametrize("control", CONTROL_CHARACTERS)
def test_a_control_character_is_refused(field: str, control: str) -> None:
    assert [problem[0] for problem in refused(**{field: f"a{control}b"}).problems] == [field]


@pytest.mark.parametrize("field", IDS)
@pytest.mark.parametrize("break_", ["\n", "\r", "\t"])
def test_a_line_break_or_tab_within_an_id_is_refused(field: str, break_: str) -> None:
    assert [problem[0] for problem in refused(**{field: f"a{break_}b"}).problems] == [field]


@pytest.mark.parametrize("field", [*IDS, *NAMES])
@pytest.mark.parametrize("text", LEGAL_TEXT)
def test_names_and_ids_hold_any_script_quotes_and_emoji(field: str, text: str) -> None:
    assert getattr(view(**{field: text}), field) == text


@pytest.mark.parametrize("field", NAMES)
@pytest.mark.parametrize("text", LEGAL_LAYOUT)
def test_names_hold_line_breaks_tabs_padding_and_nothing(field: str, text: str) -> None:
    assert getattr(view(**{field: text}), field) == text


@pytest.mark.parametrize("field", [*IDS, *NAMES, "user_email"])
@pytest.mark.parametrize("other", [7, b"m-42", 1.5, True, ["m-42"], "\ud800"])
def test_only_unicode_text_is_text(field: str, other: object) -> None:
    assert [problem[0] for problem in refused(**{field: other}).problems] == [field]


@pytest.mark.parametrize("field", REQUIRED_OF_A_VIEW)
def test_a_required_field_cannot_be_none(field: str) -> None:
    assert [problem[0] for problem in refused(**{field: None}).problems] == [field]


@pytest.mark.parametrize("address", LEGAL_EMAILS)
def test_an_email_address_is_legal(address: str) -> None:
    assert view(user_email=address).user_email == address


@pytest.mark.parametrize("address", BAD_EMAILS)
def test_what_is_no_email_address_is_refused(address: str) -> None:
    assert [problem[0] for problem in refused(user_email=address).problems] == ["user_email"]


@pytest.mark.parametrize("code", ["gb", "G", "GBR", "G1", "ÄÖ", " GB", "GB\n", ""])
def test_a_country_is_two_capital_letters(code: str) -> None:
    problems = refused(user_member_office_location_iso2=code).problems
    assert [problem[0] for problem in problems] == ["user_member_office_location_iso2"]


@pytest.mark.parametrize("field", ["user_type", "matter_type"])
@pytest.mark.parametrize("other", ["", "member", "GUEST", "Live", "Member ", 0, True])
def test_a_type_is_one_of_two_words_in_one_spelling(field: str, other: object) -> None:
    assert [problem[0] for problem in refused(**{field: other}).problems] == [field]


# What the refusal says


def test_every_missing_field_is_named_at_once() -> None:
    with pytest.raises(InvalidEvent) as caught:
        MatterViewed.checked({})
    assert str(caught.value) == NOTHING_THERE
    with pytest.raises(InvalidEvent, match=r"^MatterDeleted: matter_id is missing; deleted_at is missing$"):
        MatterDeleted.checked({})


def test_every_broken_field_is_named_at_once() -> None:
    error = refused(user_id="", user_email="zoe", matter_type="real", matter_viewed_at=None, colour="red")
    assert error.event_type == "MatterViewed"
    assert {field for field, _ in error.problems} == {
        "user_id",
        "user_email",
        "matter_type",
        "matter_viewed_at",
        "colour",
    }


@pytest.mark.parametrize("unknown", ["colour", "user_ID", "matter_Id", "event_type", "__class__"])
def test_an_unknown_field_is_refused(unknown: str) -> None:
    assert refused(**{unknown: "x"}).problems == ((unknown, "is not a field of this event"),)


@pytest.mark.parametrize(("field", "speaks_of"), RULE_SPEAKS_OF.items())
def test_the_refusal_says_the_fields_own_rule(field: str, speaks_of: str) -> None:
    ((named, rule),) = refused(**{field: "\x00"}).problems
    assert named == field
    assert speaks_of in rule


@pytest.mark.parametrize("field", ["event_id", *VIEW, "colour"])
@pytest.mark.parametrize("secret", ["hush@\x00" + "x" * 2_000, b"hush", ["hush"], {"hush": "hush"}])
def test_the_refusal_never_holds_the_value(field: str, secret: object) -> None:
    error = refused(**{field: secret})
    assert field in str(error)
    assert "hush" not in "".join(traceback.format_exception(error)) + repr(error)
    assert error.__cause__ is None


def test_an_event_made_without_checked_hides_the_value_too() -> None:
    with pytest.raises(ValidationError) as caught:
        MatterViewed(**VIEW | {"user_name": "hush\x00"})
    assert "user_name" in str(caught.value)
    assert "hush" not in str(caught.value)
