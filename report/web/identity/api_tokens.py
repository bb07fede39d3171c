"""API tokens: with a token a program reads the API in an account's name.

1. A token is 256 random bits, shown once and stored as a hash. It expires, and is valid for chosen scopes only.
2. Disabling or resetting an account removes its tokens.
"""

import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Self

from matterlog.report.errors import TokenRefused
from matterlog.report.web.identity.accounts import Account, check_unchanged
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.secret_tokens import hash_of, new_token
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.instants import as_text
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "api_tokens.sql")
# With a prefix, secret scanners find tokens that were left in files.
PREFIX: Final = "mlog_"
_TOKEN_BYTES: Final = 32
LIFETIMES_DAYS: Final = (7, 30, 90, 365)
MAX_TOKENS: Final = 20
MAX_LABEL_CHARACTERS: Final = 80
_SEE_EVERY: Final = timedelta(minutes=1)


class Scope(StrEnum):
    """A scope: a part of the API that a token is valid for."""

    EXTRACTS = "extracts"
    ENGAGEMENT = "engagement"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What is stored about a token, without the token itself. Instants are text in UTC."""

    token_id: int
    label: str
    scopes: frozenset[Scope]
    created_at: str
    expires_at: str
    last_used_at: str | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """Make it from its row."""
        values = {name: row[name] for name in cls.__dataclass_fields__}
        return cls(**values | {"scopes": _scopes(row["scopes"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """The account of a token that was sent, with the token's scopes."""

    account: Account
    token_id: int
    scopes: frozenset[Scope]


class ApiTokens:
    """The tokens in the site's database."""

    def __init__(self, database: SiteDatabase, audit_log: AuditLog) -> None:
        self._database = database
        self._audit_log = audit_log

    def make(self, account: Account, label: str, scopes: frozenset[Scope], days: int, by: Actor) -> str:
        """Make a token and return it. Only its hash is stored.

        Raises:
            TokenRefused: label, scopes or days are not valid, or the account has too many tokens.
        """
        label = label.strip()
        if not label or len(label) > MAX_LABEL_CHARACTERS:
            raise TokenRefused(f"give the token a name of 1 to {MAX_LABEL_CHARACTERS} characters")
        if not scopes:
            raise TokenRefused("choose at least one scope for the token")
        if days not in LIFETIMES_DAYS:
            raise TokenRefused(f"choose how many days the token is valid: {', '.join(map(str, LIFETIMES_DAYS))}")
        token, now = new_token(PREFIX, _TOKEN_BYTES), self._database.now()
        values = {
            "account_id": account.account_id,
            "token_hash": hash_of(token),
            "label": label,
            "scopes": " ".join(sorted(scopes)),
            "now": as_text(now),
            "expires_at": as_text(now + timedelta(days=days)),
        }
        with self._database.transaction() as connection:
            check_unchanged(connection, account)
            if len(connection.execute(SQL["of_account"], values).fetchall()) >= MAX_TOKENS:
                raise TokenRefused(f"an account can have at most {MAX_TOKENS} tokens. Remove one first")
            (token_id,) = connection.execute(SQL["add"], values).fetchone()
            details = {"token": token_id, "scopes": sorted(scopes), "days": days}
            self._audit_log.append(connection, Act.API_TOKEN_MADE, by, details)
        return token

    def of_account(self, account: Account) -> list[ApiToken]:
        """Return an account's tokens."""
        return [ApiToken.of(row) for row in self._database.rows(SQL["of_account"], account_id=account.account_id)]

    def remove(self, account: Account, token_id: int, by: Actor) -> None:
        """Remove a token, if it is one of the account's."""
        with self._database.transaction() as connection:
            values = {"account_id": account.account_id, "token_id": token_id}
            if connection.execute(SQL["remove"], values).fetchone() is not None:
                self._audit_log.append(connection, Act.API_TOKEN_REMOVED, by, {"token": token_id})

    def find(self, token: str) -> TokenHolder | None:
        """Return the holder of a token; None if it is unknown or expired or its account is disabled."""
        now = self._database.now()
        found = self._database.rows(SQL["find"], token_hash=hash_of(token), now=as_text(now))
        if not found:
            return None
        row = found[0]
        if row["last_used_at"] is None or row["last_used_at"] < as_text(now - _SEE_EVERY):
            self._database.run(SQL["use"], token_id=row["token_id"], now=as_text(now))
        return TokenHolder(account=Account.of(row), token_id=row["token_id"], scopes=_scopes(row["scopes"]))


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in text.split())
