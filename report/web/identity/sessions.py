"""Sessions: who is signed in.

1. A session is a token of 128 bits in a cookie and a row in the site's database, which holds the token's hash.
2. Each sign-in starts a new session. If the account has a second factor, the password starts a session that awaits it,
   and the code starts a full session with another token. The first token then ends.
3. A session ends after half an hour without a request, after twelve hours in any case, and at once if its owner signs
   out or its account is disabled or reset: each request looks it up.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.secret_tokens import hash_of, new_token
from matterlog.report.web.identity.site_database import SiteDatabase, as_text
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "sessions.sql")
IDLE: Final = timedelta(minutes=30)
OLD: Final = timedelta(hours=12)
AWAITING_SECOND_FACTOR: Final = timedelta(minutes=5)
# A session's last use is written at most this often, so that not every request waits for the disk.
_SEE_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A valid session, with the current state of its account."""

    token_hash: bytes
    account: Account
    awaits_second_factor: bool


class Sessions:
    """The sessions in the site's database."""

    def __init__(self, database: SiteDatabase) -> None:
        self._database = database

    def start(self, account: Account, address: str, *, awaits_second_factor: bool = False) -> str:
        """Start a session and return its token. Only its hash is stored."""
        token, now = new_token(), self._database.now()
        values = {
            "token_hash": hash_of(token),
            "account_id": account.account_id,
            "awaits_second_factor": awaits_second_factor,
            "now": as_text(now),
            "address": address,
        }
        with self._database.transaction() as connection:
            connection.execute(SQL["sweep"], _limits(now))
            connection.execute(SQL["start"], values)
        return token

    def find(self, token: str) -> Session | None:
        """Return the session of a token; None if it is unknown or has ended."""
        now = self._database.now()
        with self._database.reading() as connection:
            row = connection.execute(SQL["find"], {"token_hash": hash_of(token), **_limits(now)}).fetchone()
        if row is None:
            return None
        if row["seen_at"] < as_text(now - _SEE_EVERY):
            self._see(row, now)
        return Session(
            token_hash=row["token_hash"],
            account=Account.of(row),
            awaits_second_factor=bool(row["awaits_second_factor"]),
        )

    def _see(self, row: sqlite3.Row, now: datetime) -> None:
        with self._database.transaction() as connection:
            connection.execute(SQL["see"], {"token_hash": row["token_hash"], "now": as_text(now)})

    def end(self, session: Session) -> None:
        """End a session."""
        with self._database.transaction() as connection:
            connection.execute(SQL["end"], {"token_hash": session.token_hash})


def _limits(now: datetime) -> dict[str, str]:
    return {
        "idle_since": as_text(now - IDLE),
        "old_since": as_text(now - OLD),
        "half_since": as_text(now - AWAITING_SECOND_FACTOR),
    }
