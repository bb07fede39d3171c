"""Sessions: who is signed in.

1. A session is a token of 128 bits in a cookie and a row in the site's database, which holds the token's hash.
2. Each sign-in starts a new session. If the account has a second factor, the password starts a session that awaits it,
   and the code starts a full session with another token. The first token then ends.
3. A session ends after half an hour without a request, after twelve hours in any case, and at once if its owner signs
   out or its account is disabled or reset: each request looks it up.
4. What gives lasting power, such as a token, needs a session whose owner signed in within RECENT.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from matterlog.report.web.identity.accounts import Account, check_unchanged
from matterlog.report.web.identity.secret_tokens import hash_of, new_token
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.instants import as_text
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "sessions.sql")
IDLE: Final = timedelta(minutes=30)
OLD: Final = timedelta(hours=12)
AWAITING_SECOND_FACTOR: Final = timedelta(minutes=5)
RECENT: Final = timedelta(minutes=15)
# A session's last use is written at most this often, so that not every request waits for the disk.
_SEE_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A valid session, with the current state of its account. Instants are text in UTC.

    ``at_provider``: its owner signed in with the identity provider. ``has_second_factor``: a second factor was asked
    for, here or by the provider.
    """

    session_id: int
    token_hash: bytes
    account: Account
    awaits_second_factor: bool
    started_at: str
    seen_at: str
    address: str
    authenticated_at: str
    at_provider: bool
    has_second_factor: bool

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """Make the session from its row, which has its account's columns too."""
        return cls(
            account=Account.of(row), **{name: row[name] for name in cls.__dataclass_fields__ if name != "account"}
        )


class Sessions:
    """The sessions in the site's database."""

    def __init__(self, database: SiteDatabase) -> None:
        self._database = database

    def start(
        self,
        account: Account,
        address: str,
        *,
        awaits_second_factor: bool = False,
        at_provider: bool = False,
        has_second_factor: bool = False,
        authenticated_at: datetime | None = None,
    ) -> str:
        """Start a session and return its token. ``authenticated_at``: None means now. Raises as ``check_unchanged``."""
        token, now = new_token(), self._database.now()
        values = {
            "token_hash": hash_of(token),
            "account_id": account.account_id,
            "awaits_second_factor": awaits_second_factor,
            "now": as_text(now),
            "address": address,
            "at_provider": at_provider,
            "has_second_factor": has_second_factor,
            "authenticated_at": as_text(authenticated_at or now),
        }
        with self._database.transaction() as connection:
            check_unchanged(connection, account)
            connection.execute(SQL["sweep"], _limits(now))
            connection.execute(SQL["start"], values)
        return token

    def find(self, token: str) -> Session | None:
        """Return the session of a token; None if it is unknown or has ended."""
        now = self._database.now()
        found = self._database.rows(SQL["find"], token_hash=hash_of(token), **_limits(now))
        if not found:
            return None
        row = found[0]
        if row["seen_at"] < as_text(now - _SEE_EVERY):
            self._database.run(SQL["see"], token_hash=row["token_hash"], now=as_text(now))
        return Session.of(row)

    def of_account(self, account: Account) -> list[Session]:
        """Return the full sessions of an account, newest first."""
        limits = _limits(self._database.now())
        rows = self._database.rows(SQL["of_account"], account_id=account.account_id, **limits)
        return [Session.of(row) for row in rows]

    def is_recent(self, session: Session) -> bool:
        """Return whether the session's owner signed in a short time ago."""
        return session.authenticated_at > as_text(self._database.now() - RECENT)

    def end(self, session: Session) -> None:
        """End a session."""
        self._database.run(SQL["end"], token_hash=session.token_hash)


def _limits(now: datetime) -> dict[str, str]:
    return {
        "idle_since": as_text(now - IDLE),
        "old_since": as_text(now - OLD),
        "half_since": as_text(now - AWAITING_SECOND_FACTOR),
    }
