"""Known browsers: those in which an account's owner has signed in before.

A known browser has a random token in a cookie. It counts its failed sign-ins by itself, so nobody elsewhere can keep
the owner out of it (OWASP's device cookies). The token opens nothing.
"""

from datetime import timedelta
from typing import Final

from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.secret_tokens import hash_of, new_token
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.instants import as_text
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "browsers.sql")
KNOWN_FOR: Final = timedelta(days=180)


class Browsers:
    """The known browsers in the site's database."""

    def __init__(self, database: SiteDatabase) -> None:
        self._database = database

    def knows(self, account: Account, token: str | None) -> bool:
        """Return whether the account's owner has signed in before in the browser that sent this token."""
        if token is None:
            return False
        return bool(self._database.rows(SQL["knows"], token_hash=hash_of(token), account_id=account.account_id))

    def remember(self, account: Account, token: str | None) -> str:
        """Remember a browser in which the account's owner has signed in, and return its token."""
        token, now = (token if token and self.knows(account, token) else new_token()), self._database.now()
        values = {"token_hash": hash_of(token), "account_id": account.account_id, "now": as_text(now)}
        with self._database.transaction() as connection:
            connection.execute(SQL["sweep"], {"old_since": as_text(now - KNOWN_FOR)})
            connection.execute(SQL["remember"], values)
        return token
