"""Signing in with a name, a password and, where the account has one, a second factor.

1. The rate limits come first, by account and by address; then the hash.
2. An unknown name, a wrong password, a disabled account: the same words after the same time.
3. What was typed as an unknown name is recorded nowhere: it may be a password.
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
    """A session that was started: its token, and whether it awaits the second factor."""

    token: str
    awaits_second_factor: bool


class SignIn:
    """The way in."""

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
        # One entry in the log for a flood, not one for each of its drops.
        self._told = RateLimit(1, WINDOW_SECONDS)

    def with_password(self, name: str, password: str, address: str) -> NewSession:
        """Start a session for who knows the password.

        Raises:
            TooManyTries, SignInRefused
            SiteBusy: too many are signing in.
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

    def with_code(self, half: Session, code: str, address: str) -> NewSession:
        """Make a session that awaits the second factor whole, under another token.

        Raises:
            TooManyTries, CodeRefused
        """
        account = half.account
        self._limit(f"code of {account.name}", address)
        by = Actor(account=account.name, address=address)
        if not self._second_factors.takes(account, code, by):
            self._audit_log.add(Act.SIGN_IN_FAILED, by, {"how": "second factor"})
            raise CodeRefused
        self._by_account.forget(f"code of {account.name}")
        self._sessions.end(half)
        return self.of_account(account, by, how="second factor")

    def of_account(self, account: Account, by: Actor, *, how: str) -> NewSession:
        """Start a session for somebody who has proved to be an account's owner."""
        self._audit_log.add(Act.SIGNED_IN, by, {"how": how})
        return NewSession(self._sessions.start(account, by.address or ""), False)  # noqa: FBT003 - its only flag

    def check_password_again(self, account: Account, password: str, address: str) -> None:
        """Ask somebody who is signed in for the password once more.

        Raises:
            TooManyTries, SignInRefused, SiteBusy
        """
        self._limit(account.name, address)
        if not self._is_right(account, password):
            raise SignInRefused("the present password is wrong")
        self._by_account.forget(account.name)

    def _is_right(self, account: Account | None, password: str) -> bool:
        usable = account is not None and not account.is_disabled
        kept = account.password_hash if account is not None and usable else None
        return self._passwords.matches(kept, password[: MAX_CHARACTERS + 1])

    def _limit(self, name: str, address: str) -> None:
        network = network_of(address)
        for limit, key in ((self._by_address, network), (self._by_account, name)):
            if not limit.allows(key):
                if self._told.allows(f"{network} {name}"):
                    self._audit_log.add(Act.SIGN_IN_LIMITED, Actor(address=address))
                raise TooManyTries
