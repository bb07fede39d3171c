"""Search for users, matters and companies by name, for people who do not know the IDs.

A name is personal data. The search text comes in a form's body and never in an address, so that no access log holds
it. It is recorded nowhere.
"""

from dataclasses import dataclass
from typing import Final, Literal

from matterlog.report.log.filters import alike
from matterlog.report.log.reader import LogConnection
from matterlog.schemas.storage.statements import load_statements

_CALLED: Final = load_statements(__package__, "names.sql")["called"].format(text=alike("$text"), name=alike("name"))
# Per kind.
MOST_SHOWN: Final = 6
LEAST_CHARACTERS: Final = 2
MOST_CHARACTERS: Final = 300

Kind = Literal["user", "matter", "company"]
WORDS: Final[dict[Kind, str]] = {"user": "User", "matter": "Matter", "company": "Company"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMatch:
    """A match: ID, latest name, number of views, and ``more``: a user's e-mail address or a matter's type."""

    kind: Kind
    id: str
    name: str
    more: str | None
    views: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMatches:
    """The matches of a search, users first. ``there_are_more``: not all are shown. Too short a text has none."""

    text: str
    is_short: bool
    rows: tuple[NameMatch, ...] = ()
    there_are_more: bool = False


def find_by_name(connection: LogConnection, text: str) -> NameMatches:
    """Find users, matters and companies by a current or former name, an e-mail address or an ID.

    Args:
        connection: the connection of a reader.
        text: any part of a name or address, or a whole ID; in names accents, capitals and blanks do not matter.
    """
    text = text.strip()[:MOST_CHARACTERS]
    if len(text) < LEAST_CHARACTERS:
        return NameMatches(text=text, is_short=True)
    rows = connection.execute(_CALLED, {"text": text, "most": MOST_SHOWN + 1}).fetchall()
    called = [NameMatch(kind=kind, id=id_, name=name, more=more, views=views) for kind, id_, name, more, views in rows]
    shown = [each for kind in WORDS for each in [row for row in called if row.kind == kind][:MOST_SHOWN]]
    return NameMatches(text=text, is_short=False, rows=tuple(shown), there_are_more=len(shown) < len(called))
