"""Signing in with a name, a password and, if the account has one, a second factor.

1. The rate limits by account and by address are checked before the password is hashed.
2. An unknown name, a wrong password and a disabled account get the same answer after the same time.
3. An unknown name is recorded nowhere, because it may be a password that was typed in the wrong field.
"""

from dataclasses import dataclass
from typing import Final

from matterlog.report.errors import CodeRefused, SignInRefused, TooManyTries
from matterlog.report.web.identity.accounts import Account, Accounts, normal_name
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.passwords import MAX_CHARACTERS, Passwords
from matterlog.report.web.identity.rate_limits import RateLimit, network_of
from matterlog.report.web.identity.second_factor import SecondFactors
from matterlog.report.web.identity.sessions import Session, Sessions

WINDOW_SECONDS: Final = 15 * 60.0
TRIES_BY_ACCOUNT: Final = 10
TRIES_BY_ADDRESS: Final = 30


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just started: its token, and whether it awaits the second factor."""

    token: str
    awaits_second_factor: bool


class SignIn:
    """The checks of passwords and codes that start sessions."""

    def __init__(
        self,
        accounts: Accounts,
        passwords: Passwords,
        sessions: Sessions,
        second_factors: SecondFactors,
        audit_log: AuditLog,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._sessions = sessions
        self._second_factors = second_factors
        self._audit_log = audit_log
        self._by_account = RateLimit(TRIES_BY_ACCOUNT, WINDOW_SECONDS)
        self._by_address = RateLimit(TRIES_BY_ADDRESS, WINDOW_SECONDS)
        # A flood of tries adds one entry to the audit log, not one for each try.
        self._logged = RateLimit(1, WINDOW_SECONDS)

    def with_password(self, name: str, password: str, address: str) -> NewSession:
        """Check name and password and start a session.

        Raises:
            TooManyTries, SignInRefused
            SiteBusy: too many people are signing in at once.
        """
        name = normal_name(name)
        self._limit(name, address)
        account = self._accounts.find(name)
        by = Actor(account=account.name if account else None, address=address)
        if not self._is_right(account, password) or account is None:
            self._audit_log.add(Act.SIGN_IN_FAILED, by, {"how": "password"})
            raise SignInRefused
        self._by_account.forget(name)
        self._accounts.refresh_hash(account, password)
        if account.totp_secret is not None:
            return NewSession(self._sessions.start(account, address, awaits_second_factor=True), True)  # noqa: FBT003 - its only flag
        return self.of_account(account, by, how="password")

    def with_code(self, waiting: Session, code: str, address: str) -> NewSession:
        """Check the second factor and replace a session that awaits it with a full one.

        Raises:
            TooManyTries, CodeRefused
        """
        account = waiting.account
        self._limit(f"code of {account.name}", address)
        by = Actor(account=account.name, address=address)
        if not self._second_factors.takes(account, code, by):
            self._audit_log.add(Act.SIGN_IN_FAILED, by, {"how": "second factor"})
            raise CodeRefused
        self._by_account.forget(f"code of {account.name}")
        self._sessions.end(waiting)
        return self.of_account(account, by, how="second factor")

    def of_account(self, account: Account, by: Actor, *, how: str) -> NewSession:
        """Start a session for an account whose owner has signed in."""
        self._audit_log.add(Act.SIGNED_IN, by, {"how": how})
        return NewSession(self._sessions.start(account, by.address or ""), False)  # noqa: FBT003 - its only flag

    def check_password_again(self, account: Account, password: str, address: str) -> None:
        """Check the password of an account that is already signed in.

        Raises:
            TooManyTries, SignInRefused, SiteBusy
        """
        self._limit(account.name, address)
        if not self._is_right(account, password):
            raise SignInRefused("the current password is wrong")
        self._by_account.forget(account.name)

    def _is_right(self, account: Account | None, password: str) -> bool:
        usable = account is not None and not account.is_disabled
        kept = account.password_hash if account is not None and usable else None
        return self._passwords.matches(kept, password[: MAX_CHARACTERS + 1])

    def _limit(self, name: str, address: str) -> None:
        network = network_of(address)
        for limit, key in ((self._by_address, network), (self._by_account, name)):
            if not limit.allows(key):
                if self._logged.allows(f"{network} {name}"):
                    self._audit_log.add(Act.SIGN_IN_LIMITED, Actor(address=address))
                raise TooManyTries
