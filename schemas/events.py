"""The two events: frozen values that validate themselves, so that an invalid event cannot exist.

1. Times are instants: a naive time is refused, and any other zone is converted to UTC.
2. IDs are opaque text. White space at either end is refused: a matter whose ID differs from its deletion's by a blank
   would never be purged.
3. Names may contain any script, quotes, emoji, tabs and line breaks. Other control characters are refused.
4. E-mail addresses follow RFC 5322's dot-atom and quoted string, with RFC 6531's letters of any script.
5. An error names the field and the rule that it breaks, never the value.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from matterlog.schemas.errors import InvalidEvent
from matterlog.schemas.event_ids import new_event_id

MAX_ID_CHARACTERS: Final = 128
MAX_NAME_CHARACTERS: Final = 1_000
# RFC 5321, section 4.5.3.1: 64 for the local part, an @, 255 for the domain.
MAX_EMAIL_CHARACTERS: Final = 320
# The report writes four-digit years, and no platform had matters before 1970.
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ID_PATTERN: Final = r"^[^\p{Cc}\s](?:[^\p{Cc}]*[^\p{Cc}\s])?$"
_NAME_PATTERN: Final = r"^(?:[^\p{Cc}]|[\n\r\t])*$"
_ATOM: Final = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x7F\p{Cc}\s])+"
_QUOTED: Final = r'"(?:[^"\\\p{Cc}]|\\[^\p{Cc}])+"'
_LABEL: Final = r"[\p{L}\p{M}\p{N}](?:[\p{L}\p{M}\p{N}-]*[\p{L}\p{M}\p{N}])?"
_EMAIL_PATTERN: Final = rf"^(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?:{_LABEL}(?:\.{_LABEL})+|\[[0-9A-Za-z.:]+\])$"


class UserType(StrEnum):
    """The kind of user: a member of the firm, or a guest."""

    GUEST = "Guest"
    MEMBER = "Member"


class MatterType(StrEnum):
    """The kind of matter: a demonstration, or real work."""

    DEMO = "demo"
    LIVE = "live"


def _to_utc(instant: datetime) -> datetime:
    try:
        in_utc = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the calendar") from None
    if in_utc < EARLIEST:
        raise ValueError("too early")
    return in_utc


_ID_RULE: Final = (
    f"must be text of 1 to {MAX_ID_CHARACTERS} characters, without control characters "
    "and without white space at either end"
)
_NAME_RULE: Final = (
    f"must be text of at most {MAX_NAME_CHARACTERS} characters, without control characters "
    "other than tab and line break"
)
_COUNTRY_RULE: Final = "must be two capital letters (ISO 3166-1 alpha-2)"
Identifier = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_ID_CHARACTERS, pattern=_ID_PATTERN), Field(description=_ID_RULE)
]
Name = Annotated[
    str, StringConstraints(max_length=MAX_NAME_CHARACTERS, pattern=_NAME_PATTERN), Field(description=_NAME_RULE)
]
Email = Annotated[
    str,
    StringConstraints(max_length=MAX_EMAIL_CHARACTERS, pattern=_EMAIL_PATTERN),
    Field(description=f"must be an e-mail address of at most {MAX_EMAIL_CHARACTERS} characters"),
]
CountryCode = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$"), Field(description=_COUNTRY_RULE)]
Instant = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    Field(description="must be a date and time with a time zone, from 1970 to 9999"),
]
EventId = Annotated[UUID, Field(strict=False, description="must be a UUID")]


class _Event(BaseModel):
    """The base class of both events: frozen and strict, with its own ID and no unknown fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    # The schema's name in avro/*.avsc and the CloudEvents type.
    event_type: ClassVar[str]

    event_id: EventId = Field(default_factory=new_event_id)

    @classmethod
    def checked(cls, fields: Mapping[str, Any]) -> Self:
        """Return the event with these fields by name.

        Raises:
            InvalidEvent: names every field that breaks its rule, with the rule.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            fields_and_types = ((str(problem["loc"][0]), problem["type"]) for problem in found)
            problems = tuple((field, cls._rule(type_, field)) for field, type_ in fields_and_types)
            raise InvalidEvent(cls.event_type, problems) from None

    @classmethod
    def _rule(cls, problem: str, field: str) -> str:
        if problem == "missing":
            return "is missing"
        if field not in cls.model_fields:
            return "is not a field of this event"
        return cls.model_fields[field].description or "is not valid"


class MatterViewed(_Event):
    """A matter view: one user opened one matter at one instant (UTC)."""

    event_type: ClassVar[str] = "MatterViewed"

    user_id: Identifier
    user_name: Name
    user_email: Email
    user_type: Annotated[UserType, Field(strict=False, description="must be Guest or Member")]
    matter_viewed_at: Instant
    matter_id: Identifier
    matter_name: Name
    matter_type: Annotated[MatterType, Field(strict=False, description="must be demo or live")]
    user_company_id: Identifier | None = Field(default=None, description=_ID_RULE)
    user_company_name: Name | None = Field(default=None, description=_NAME_RULE)
    user_member_office_id: Identifier | None = Field(default=None, description=_ID_RULE)
    user_member_office_name: Name | None = Field(default=None, description=_NAME_RULE)
    user_member_office_location_name: Name | None = Field(default=None, description=_NAME_RULE)
    user_member_office_location_iso2: CountryCode | None = Field(default=None, description=_COUNTRY_RULE)


class MatterDeleted(_Event):
    """A matter deletion: the matter is removed for good, and its ID is never used again."""

    event_type: ClassVar[str] = "MatterDeleted"

    matter_id: Identifier
    deleted_at: Instant


Event = MatterViewed | MatterDeleted
