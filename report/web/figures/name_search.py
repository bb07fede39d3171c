"""Users, matters and companies by name, for who does not know their IDs.

A name is personal data: what is searched for comes in a form's body, never in an address, so that no log of addresses
holds it, and nothing of it is recorded.
"""

from dataclasses import dataclass
from typing import Final, Literal

from matterlog.report.log.reader import LogConnection
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "names.sql")
# So many of each kind are shown.
MOST_SHOWN: Final = 6
LEAST_CHARACTERS: Final = 2
MOST_CHARACTERS: Final = 300

Kind = Literal["users", "matters", "companies"]
WORDS: Final[dict[Kind, str]] = {"users": "User", "matters": "Matter", "companies": "Company"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMatch:
    """Who or what has a name: the ID, what it is called now, an e-mail address or a type, and how many views."""

    kind: Kind
    id: str
    name: str
    more: str | None
    views: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NameMatches:
    """What a search found, users first; ``there_are_more`` than are shown. Too short a text finds nothing."""

    text: str
    is_short: bool
    rows: tuple[NameMatch, ...] = ()
    there_are_more: bool = False


def find_by_name(connection: LogConnection, text: str) -> NameMatches:
    """Return what is or was called so, has this e-mail address, or this ID.

    Args:
        connection: a reader's.
        text: any part of a name; accents and capital letters do not count.
    """
    text = text.strip()[:MOST_CHARACTERS]
    if len(text) < LEAST_CHARACTERS:
        return NameMatches(text=text, is_short=True)
    rows = connection.execute(SQL["called"], {"text": text, "most": MOST_SHOWN + 1}).fetchall()
    called = [NameMatch(kind=kind, id=id_, name=name, more=more, views=views) for kind, id_, name, more, views in rows]
    shown = [each for kind in WORDS for each in [row for row in called if row.kind == kind][:MOST_SHOWN]]
    return NameMatches(text=text, is_short=False, rows=tuple(shown), there_are_more=len(shown) < len(called))
