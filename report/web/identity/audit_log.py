"""The audit log: who signed in, downloaded or changed something, when, and from where.

1. Append-only: an entry is written in the transaction of the action, or in one of its own, and is never changed.
2. Hash-chained: an entry holds the SHA-256 of the one before and of itself, so a changed, removed or reordered entry is
   found. Somebody who can write the file could rewrite the whole chain, or cut its tail. To find that out, keep an end
   somewhere else, and give it to ``verify``. The process's log tells the end every hour in which an entry was added,
   and at each thousandth entry, with a MAC where the site has a secret. A running site remembers the end itself.
3. A flood of the same act by the same person or network is one entry in a quarter of an hour (``add_once``).
4. It holds no name, ID or e-mail address of the log, not even those of a filter: an erased matter leaves no trace.
"""

import csv
import hashlib
import hmac
import io
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from matterlog.report.errors import AuditLogBroken
from matterlog.report.web.identity.rate_limits import RateLimit, network_of
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.formula_guard import with_formula_guard
from matterlog.schemas.instants import as_text
from matterlog.schemas.storage.statements import load_statements

if TYPE_CHECKING:
    from hashlib import _Hash

logger = logging.getLogger(__name__)

SQL: Final = load_statements(__package__, "audit_log.sql")
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_ENTRIES_AT_ONCE: Final = 1000
_WITHOUT_LIMIT: Final = -1
_TOLD_EVERY: Final = timedelta(hours=1)
_TOLD_EVERY_ENTRIES: Final = 1000
_ONCE_IN_SECONDS: Final = 15 * 60.0
COLUMNS: Final = ("number", "at", "act", "account", "address", "details", "previous_hash", "hash")


class Act(StrEnum):
    """An action that the audit log records."""

    SIGNED_IN = "SIGNED_IN"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    SIGN_IN_LIMITED = "SIGN_IN_LIMITED"
    SIGNED_OUT = "SIGNED_OUT"
    ACCOUNT_ADDED = "ACCOUNT_ADDED"
    ACCOUNT_DISABLED = "ACCOUNT_DISABLED"
    ACCOUNT_ENABLED = "ACCOUNT_ENABLED"
    ACCOUNT_ROLE_CHANGED = "ACCOUNT_ROLE_CHANGED"
    ACCOUNT_RESET = "ACCOUNT_RESET"
    ACCOUNT_SHUT_OUT = "ACCOUNT_SHUT_OUT"
    SESSION_ENDED = "SESSION_ENDED"
    PROVIDER_LINKED = "PROVIDER_LINKED"
    PROVIDER_BOUND = "PROVIDER_BOUND"
    PROVIDER_UNBOUND = "PROVIDER_UNBOUND"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - the act's name
    SECOND_FACTOR_ADDED = "SECOND_FACTOR_ADDED"
    SECOND_FACTOR_REMOVED = "SECOND_FACTOR_REMOVED"
    RECOVERY_CODE_USED = "RECOVERY_CODE_USED"
    API_TOKEN_MADE = "API_TOKEN_MADE"  # noqa: S105 - the act's name
    API_TOKEN_REMOVED = "API_TOKEN_REMOVED"  # noqa: S105 - the act's name
    API_TOKEN_REFUSED = "API_TOKEN_REFUSED"  # noqa: S105 - the act's name
    PAGE_REFUSED = "PAGE_REFUSED"
    NAMES_SHOWN = "NAMES_SHOWN"
    NAMES_SEARCHED = "NAMES_SEARCHED"
    ACCOUNTS_RECORD_DOWNLOADED_CSV = "ACCOUNTS_RECORD_DOWNLOADED_CSV"
    REPORTS_ENGAGEMENT_DOWNLOADED = "REPORTS_ENGAGEMENT_DOWNLOADED"
    REPORTS_ENGAGEMENT_SHOWN = "REPORTS_ENGAGEMENT_SHOWN"
    DEAD_LETTERS_RETRIED = "DEAD_LETTERS_RETRIED"
    DEAD_LETTERS_DISCARDED = "DEAD_LETTERS_DISCARDED"
    DEAD_LETTERS_SHOWN = "DEAD_LETTERS_SHOWN"
    BACKUP_TAKEN = "BACKUP_TAKEN"
    DATABASE_RESTORED = "DATABASE_RESTORED"
    DATABASE_REBUILT = "DATABASE_REBUILT"
    DATABASE_REWRITTEN = "DATABASE_REWRITTEN"
    DATABASE_SEARCHED = "DATABASE_SEARCHED"
    LOG_CHANGED = "LOG_CHANGED"
    TOPICS_REREAD = "TOPICS_REREAD"


@dataclass(frozen=True, slots=True)
class Download:
    """A download of a report. Its name has report and format, such as REPORTS_ACTIVITY_DOWNLOADED_CSV."""

    report: str
    format: str

    @property
    def value(self) -> str:
        """The action's name."""
        return f"REPORTS_{self.report}_DOWNLOADED_{self.format.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The account and address behind an action, or the user of the operating system behind a command."""

    account: str | None = None
    address: str | None = None
    system_user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the audit log."""

    number: int
    at: str
    act: str
    account: str | None
    address: str | None
    details: str
    previous_hash: str
    hash: str

    def own_hash(self) -> str:
        """Compute the hash of all the entry's other fields."""
        hashed = [self.number, self.at, self.act, self.account, self.address, self.details, self.previous_hash]
        return hashlib.sha256(json.dumps(hashed, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class End:
    """The end of the audit log: the last entry's number and hash."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


_NO_END: Final = End(0, "")


@dataclass(frozen=True, slots=True)
class _VerifiedEnd:
    """The end up to which the chain was checked, with a hash of everything before it."""

    end: End
    digest: "_Hash"


class AuditLog:
    """The audit log in the site's database.

    Args:
        database: the site's database.
        secret: the site's secret, with which the ends in the process's log are signed; None if there is none.
        tells_ends: tell ends in the process's log, as the site does.
    """

    def __init__(self, database: SiteDatabase, secret: str | None = None, *, tells_ends: bool = False) -> None:
        self._database = database
        self._tells_ends = tells_ends
        self._secret = secret
        self._verified = _VerifiedEnd(_NO_END, hashlib.sha256())
        # The last end that this process has seen, and when it was told the last time.
        self._known, self._told_at = _NO_END, datetime.min.replace(tzinfo=UTC)
        self._once = RateLimit(1, _ONCE_IN_SECONDS)
        database.after_commit.append(lambda connection: self._know(End(*connection.execute(SQL["end"]).fetchone())))

    def add(self, act: Act | Download, by: Actor, details: Mapping[str, Any] = _NOTHING) -> Entry:
        """Append an entry in a transaction of its own."""
        with self._database.transaction() as connection:
            return self.append(connection, act, by, details)

    def add_once(self, act: Act, by: Actor, details: Mapping[str, Any] = _NOTHING, once_for: str | None = None) -> None:
        """Append an entry, unless there was one of the same person or network a short time ago.

        Args:
            act: what was done.
            by: who did it.
            details: as in ``append``.
            once_for: what makes two entries the same; None for their details.
        """
        who = by.account or network_of(by.address or "")
        if self._once.allows(f"{act} {who} {once_for or dict(details)}"):
            self.add(act, by, details)

    def _know(self, end: End) -> None:
        if end.number <= self._known.number:
            return
        self._known, now = end, self._database.now()
        is_due = end.number % _TOLD_EVERY_ENTRIES == 0 or now - self._told_at >= _TOLD_EVERY
        if self._tells_ends and is_due:
            self._told_at = now
            logger.info("the audit log ends at %s%s", end, self._signature(end))

    def _signature(self, end: End) -> str:
        if self._secret is None:
            return ""
        return f" MAC {hmac.digest(self._secret.encode(), f'audit log {end}'.encode(), 'sha256').hex()}"

    def append(
        self, connection: sqlite3.Connection, act: Act | Download, by: Actor, details: Mapping[str, Any] = _NOTHING
    ) -> Entry:
        """Append an entry in the transaction of the action. ``details`` are JSON, without data of the log."""
        number, previous = connection.execute(SQL["end"]).fetchone()
        told = dict(details) | ({} if by.system_user is None else {"system_user": by.system_user})
        values = {
            "number": number + 1,
            "at": as_text(self._database.now()),
            "act": act.value,
            "account": by.account,
            "address": by.address,
            "details": json.dumps(told, sort_keys=True),
            "previous_hash": previous,
        }
        entry = Entry(**values, hash=Entry(**values, hash="").own_hash())
        connection.execute(SQL["append"], values | {"hash": entry.hash})
        connection.execute(SQL["move_end"], {"number": entry.number, "hash": entry.hash})
        return entry

    def newest(self, limit: int, before: int | None = None) -> list[Entry]:
        """Return entries, newest first; with ``before``, only those with a lower number."""
        return [Entry(**row) for row in self._database.rows(SQL["newest"], limit=limit, before=before or 2**62)]

    def verify(self, known: End | None = None) -> End:
        """Check the chain from its first entry to its end.

        Args:
            known: an end that was kept elsewhere; the log must still hold that entry.

        Raises:
            AuditLogBroken: an entry was changed, removed, added or moved. The text names the first one.
        """
        with self._database.reading() as connection:
            end = _check(connection, _NO_END, known)
        if known is not None and known.number > end.number:
            raise _ends_too_early(end)
        return end

    def verify_again(self) -> End:
        """Check the chain like ``verify``, but many times faster after the first check in this process.

        Entries that were checked before are compared byte for byte with that state, by one SHA-256 over all of them
        instead of one for each. Only new entries are checked one by one. If anything differs, all of them are.

        Raises:
            AuditLogBroken: as in ``verify``, or an end that this process has seen is gone.
        """
        verified, known = self._verified, self._known
        with self._database.reading() as connection:
            if _digest_of(connection, _NO_END, verified.end).digest() != verified.digest.digest():
                verified = _VerifiedEnd(_NO_END, hashlib.sha256())
            end = _check(connection, verified.end, known)
            if known.number > end.number:
                raise _ends_too_early(end)
            digest = _digest_of(connection, verified.end, end, verified.digest.copy())
        self._verified = _VerifiedEnd(end, digest)
        self._know(end)
        return end

    def as_csv(self) -> Iterator[bytes]:
        """Yield the audit log as CSV, many lines at a time, guarded against formulas in spreadsheets."""
        yield _lines([COLUMNS])
        after = 0
        while entries := self._database.rows(SQL["following"], after=after, limit=_ENTRIES_AT_ONCE):
            rows = ([entry[name] for name in COLUMNS] for entry in entries)
            yield _lines([with_formula_guard(each) if isinstance(each, str) else each for each in row] for row in rows)
            after = entries[-1]["number"]


def _check(connection: sqlite3.Connection, after: End, known: End | None = None) -> End:
    """Check the chain after an entry that was checked, and return the end."""
    previous, number = after.hash, after.number
    for row in connection.execute(SQL["following"], {"after": after.number, "limit": _WITHOUT_LIMIT}):
        entry = Entry(**row)
        number += 1
        if entry.number != number:
            raise AuditLogBroken(f"entry {number} of the audit log is missing")
        if entry.previous_hash != previous or entry.hash != entry.own_hash():
            raise AuditLogBroken(f"entry {number} of the audit log is not what was recorded")
        if known is not None and known.number == number and known.hash != entry.hash:
            raise AuditLogBroken(f"entry {number} of the audit log is not the one that was known")
        previous = entry.hash
    end = End(number, previous)
    if End(*connection.execute(SQL["end"]).fetchone()) != end:
        raise _ends_too_early(end)
    return end


def _ends_too_early(end: End) -> AuditLogBroken:
    return AuditLogBroken(f"the audit log ends at entry {end.number}: later ones are missing")


def _digest_of(connection: sqlite3.Connection, after: End, end: End, digest: "_Hash | None" = None) -> "_Hash":
    """Add the entries after one end up to another to a digest, and return it."""
    digest = digest or hashlib.sha256()
    for (line,) in connection.execute(SQL["lines"], {"after": after.number, "last": end.number}):
        digest.update(line.encode())
    return digest


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
